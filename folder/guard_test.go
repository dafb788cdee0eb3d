package folder_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func why(err error) folder.Why {
	var g *folder.GuardError
	if errors.As(err, &g) {
		return g.Why
	}
	return ""
}

func TestCreateRefuses(t *testing.T) {
	root := t.TempDir()
	taken := filepath.Join(root, "taken")
	ensure(t, os.MkdirAll(filepath.Join(taken, "in/deep"), 0o755))
	ensure(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o644))
	ensure(t, os.Symlink("taken/in", filepath.Join(root, "way")))
	f, err := folder.Create(folder.Config{Root: taken, Pool: testPool})
	ensure(t, err)
	ensure(t, f.Close())
	for path, want := range map[string]folder.Why{
		"taken": folder.WhyTaken, "taken/in/deep": folder.WhyNested, "way/deep": folder.WhyNested, ".": folder.WhyNested,
		"file": folder.WhyNotDir, "nothing": folder.WhyUnusable,
	} {
		if _, err := folder.Create(folder.Config{Root: filepath.Join(root, path), Pool: testPool}); why(err) != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func TestOpenAndCheck(t *testing.T) {
	root := filepath.Join(t.TempDir(), "pool")
	ensure(t, os.Mkdir(root, 0o755))
	c := folder.Config{Root: root, Pool: testPool}
	if _, err := folder.Open(c); why(err) != folder.WhyNoMarker {
		t.Errorf("open without marker: %v", err)
	}
	f, err := folder.Create(c)
	ensure(t, err)
	defer f.Close()
	if _, err := folder.Open(folder.Config{Root: root, Pool: event.PoolID{9}}); why(err) != folder.WhyOtherPool {
		t.Errorf("open as another pool: %v", err)
	}
	ensure(t, f.Check())
	before := f.Marker()
	nonce, err := f.Renew()
	ensure(t, err)
	if nonce == before.Nonce || f.Marker().Folder != before.Folder {
		t.Errorf("renewed %+v to %+v", before, f.Marker())
	}
	again, err := folder.Open(c)
	ensure(t, err)
	if again.Marker() != f.Marker() {
		t.Errorf("marker read back %+v, want %+v", again.Marker(), f.Marker())
	}
	ensure(t, again.Close())

	marker := filepath.Join(root, ".meerkat/pool")
	good, err := os.ReadFile(marker)
	ensure(t, err)
	ensure(t, os.WriteFile(marker, []byte("meerkat-folder 1\n"), 0o644))
	if err := f.Check(); why(err) != folder.WhyBadMarker {
		t.Errorf("damaged marker: %v", err)
	}
	ensure(t, os.Remove(marker))
	if err := f.Check(); why(err) != folder.WhyNoMarker {
		t.Errorf("removed marker: %v", err)
	}
	ensure(t, os.WriteFile(marker, good, 0o644))
	ensure(t, f.Check())
	ensure(t, os.Rename(root, root+"2"))
	if err := f.Check(); why(err) != folder.WhyUnusable {
		t.Errorf("root gone: %v", err)
	}
	ensure(t, os.Mkdir(root, 0o755))
	if err := f.Check(); why(err) != folder.WhyOtherDevice {
		t.Errorf("another root: %v", err)
	}
}

// Where a machine has run out of something, its owner is not sent to look for a damaged file.
func TestMarkerThatCannotBeReadNow(t *testing.T) {
	r := newRig(t, nil)
	for _, err := range []error{syscall.EMFILE, syscall.EIO, syscall.EACCES} {
		r.fs.arm(func(c call) error {
			if c.verb == "open" && c.path == ".meerkat/pool" {
				return err
			}
			return nil
		})
		if got := r.f.Check(); why(got) != folder.WhyUnusable {
			t.Errorf("marker that gives %v: %v, want %s", err, got, folder.WhyUnusable)
		}
	}
}

func FuzzDecodeMarker(f *testing.F) {
	hex := strings.Repeat("ab", 32)
	f.Add([]byte("meerkat-folder 1\npool " + hex + "\nfolder " + hex[:32] + "\nnonce " + hex[:32] + "\n"))
	f.Add([]byte("# x\nmeerkat-folder 2\n"))
	f.Add([]byte("pool \x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := folder.DecodeMarker(b)
		if err != nil && m != (folder.Marker{}) {
			t.Errorf("%q: marker %v with error %v", b, m, err)
		}
	})
}

// TestNoteLog: what is noted is read again, as often as it is written over, and a folder that has no note says so.
func TestNoteLog(t *testing.T) {
	f, err := folder.Create(folder.Config{Root: t.TempDir(), Pool: testPool})
	ensure(t, err)
	defer f.Close()
	if b := f.NotedLog(); b != nil {
		t.Errorf("NotedLog of a new folder = %q", b)
	}
	for _, text := range []string{"first", "again"} {
		ensure(t, f.NoteLog([]byte(text)))
		if b := f.NotedLog(); string(b) != text {
			t.Errorf("NotedLog = %q, want %q", b, text)
		}
	}
}

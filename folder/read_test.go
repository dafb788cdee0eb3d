package folder_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func TestReadChunk(t *testing.T) {
	r := newRig(t, tree{"a": file("0123456789"), "l": link("a"), "d": dir()})
	st := r.index["a"].Stat
	read := func(p event.Path, want folder.Stat, off int64, n int) (string, error) {
		b := make([]byte, n)
		err := r.f.ReadChunk(folder.Place{Path: p}, want, off, b)
		return string(b), err
	}
	for range 2 { // the second time from an open file
		if s, err := read("a", st, 2, 3); s != "234" || err != nil {
			t.Errorf("read %q, %v", s, err)
		}
	}
	for _, c := range []struct {
		path event.Path
		want folder.Stat
		off  int64
		err  error
	}{
		{"b", folder.Stat{}, 0, folder.ErrMissing},
		{"a/x", folder.Stat{}, 0, folder.ErrMissing},
		{"a", folder.Stat{}, 9, folder.ErrChanged},
		{"a", r.index["d"].Stat, 0, folder.ErrChanged},
		{"l", folder.Stat{}, 0, folder.ErrMissing},
		{"d", folder.Stat{}, 0, folder.ErrChanged},
	} {
		if _, err := read(c.path, c.want, c.off, 3); !errors.Is(err, c.err) {
			t.Errorf("%s at %d: %v, want %v", c.path, c.off, err, c.err)
		}
	}
	ensure(t, os.WriteFile(filepath.Join(r.root, "n"), []byte("abcdefghij"), 0o644))
	ensure(t, os.Rename(filepath.Join(r.root, "n"), filepath.Join(r.root, "a")))
	if _, err := read("a", st, 0, 3); !errors.Is(err, folder.ErrChanged) {
		t.Errorf("replaced: %v, want ErrChanged", err)
	}
	if s, err := read("a", folder.Stat{}, 0, 3); s != "abc" || err != nil {
		t.Errorf("replaced: %q, %v", s, err)
	}
	ensure(t, os.Remove(filepath.Join(r.root, "a")))
	if _, err := read("a", folder.Stat{}, 0, 3); !errors.Is(err, folder.ErrMissing) {
		t.Errorf("removed: %v, want ErrMissing", err)
	}
	r.fs.arm(func(call) error { return syscall.EIO })
	if _, err := read("z", folder.Stat{}, 0, 3); !errors.Is(err, folder.ErrUnreadable) {
		t.Errorf("broken disk: %v, want ErrUnreadable", err)
	}
}

func TestReadChunkBoundsDescriptors(t *testing.T) {
	r := newRig(t, tree{})
	count := func() int {
		n, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc here to count descriptors in")
		}
		return len(n)
	}
	before := count()
	for i := range 100 {
		name := fmt.Sprintf("f%d", i)
		ensure(t, os.WriteFile(filepath.Join(r.root, name), []byte("x"), 0o644))
		ensure(t, r.f.ReadChunk(folder.Place{Path: event.Path(name)}, folder.Stat{}, 0, make([]byte, 1)))
	}
	if open := count() - before; open > 32 {
		t.Errorf("%d descriptors are kept open, want at most 32", open)
	}
}

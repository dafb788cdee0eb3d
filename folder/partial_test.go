package folder_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func cut(t testing.TB, b []byte) chunker.Manifest {
	t.Helper()
	m, err := chunker.Cut(t.Context(), bytes.NewReader(b), int64(len(b)), chunker.Small, 1)
	ensure(t, err)
	return m
}

// pieces gives chunk i of a content.
func pieceOf(m chunker.Manifest, b []byte, i int) []byte {
	for _, c := range m.Chunks[:i] {
		b = b[c.Size:]
	}
	return b[:m.Chunks[i].Size]
}

func fetch(t testing.TB, p *folder.Partial, b []byte, which []int) {
	t.Helper()
	var wg sync.WaitGroup
	for _, i := range which {
		wg.Go(func() {
			if err := p.WriteChunk(i, pieceOf(p.Manifest(), b, i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestPartialResumes(t *testing.T) {
	r := newRig(t, tree{})
	b := []byte(text(3<<20, 9))
	m := cut(t, b)
	p, err := r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	missing := p.Missing()
	if len(missing) != len(m.Chunks) {
		t.Fatalf("missing %d of %d at first", len(missing), len(m.Chunks))
	}
	half := missing[:len(missing)/2]
	fetch(t, p, b, half)
	if _, err := r.f.OpenPartial(t.Context(), m.Root(), m); !errors.Is(err, folder.ErrBusy) {
		t.Errorf("second open: %v, want ErrBusy", err)
	}
	ensure(t, p.Close())

	p, err = r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	if got, want := p.Missing(), missing[len(half):]; !slices.Equal(got, want) {
		t.Fatalf("missing %v after reopening, want %v", got, want)
	}
	if err := p.Finish(); !errors.Is(err, folder.ErrIncomplete) {
		t.Errorf("finish too early: %v", err)
	}
	dst := make([]byte, m.Chunks[0].Size)
	ensure(t, p.ReadChunk(0, dst))
	if chunker.Sum(dst) != m.Chunks[0].ID {
		t.Error("an unfinished file serves wrong bytes")
	}
	if err := p.ReadChunk(len(m.Chunks)-1, make([]byte, m.Chunks[len(m.Chunks)-1].Size)); !errors.Is(err, folder.ErrMissing) {
		t.Errorf("reading a missing chunk: %v", err)
	}
	fetch(t, p, b, p.Missing())
	ensure(t, p.Finish())
	r.land(m, b, "big", "again")
}

// land applies a finished Partial at two paths at once.
func (r *rig) land(m chunker.Manifest, b []byte, paths ...event.Path) {
	r.t.Helper()
	v := event.Value{Kind: event.File, Root: m.Root(), Size: m.Size, Class: m.Class, Mode: 0o640, MTime: 42}
	var steps []folder.Step
	for _, p := range paths {
		steps = append(steps, folder.Step{Path: p, Want: v, How: folder.Fetched})
	}
	out, err := r.f.Apply(r.t.Context(), steps, r.opts)
	ensure(r.t, err)
	for _, o := range out {
		if o.Result != folder.Done {
			r.t.Fatalf("%s: %s %+v", o.Path, o.Result, o.Problem)
		}
		if got := lookAt(r.t, filepath.Join(r.root, string(o.Path))); got.text != string(b) || got.mode != 0o640 || got.mtime != 42 {
			r.t.Errorf("%s has %d bytes, mode %o and mtime %d", o.Path, len(got.text), got.mode, got.mtime)
		}
	}
	if len(out) == 2 && out[0].Stat.Ino == out[1].Stat.Ino {
		r.t.Error("two paths share one file")
	}
	r.checkTmp()
}

func TestPartialFindsDamage(t *testing.T) {
	r := newRig(t, tree{})
	b := []byte(text(1<<20, 9))
	m := cut(t, b)
	p, err := r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	fetch(t, p, b, p.Missing())
	ensure(t, p.Close())
	names, err := filepath.Glob(filepath.Join(r.root, ".meerkat/tmp/*"))
	ensure(t, err)
	h, err := os.OpenFile(names[0], os.O_WRONLY, 0)
	ensure(t, err)
	_, err = h.WriteAt([]byte("torn"), int64(m.Chunks[0].Size)+10)
	ensure(t, errors.Join(err, h.Close()))

	p, err = r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	if got := p.Missing(); !slices.Equal(got, []int{1}) {
		t.Fatalf("missing %v, want only chunk 1", got)
	}
	if ok, err := p.Seed(1, pieceOf(m, b, 0)); ok || err != nil {
		t.Errorf("a wrong seed: %v, %v", ok, err)
	}
	if ok, err := p.Seed(1, pieceOf(m, b, 1)); !ok || err != nil {
		t.Errorf("a right seed: %v, %v", ok, err)
	}
	ensure(t, p.Finish())
	r.land(m, b, "big")
}

func TestPartialKeepsHoles(t *testing.T) {
	r := newRig(t, tree{})
	b := make([]byte, 16<<20)
	copy(b, text(1<<20, 3))
	copy(b[12<<20:], text(1<<20, 4))
	m := cut(t, b)
	p, err := r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	if got := len(p.Missing()); got >= len(m.Chunks) {
		t.Errorf("%d of %d chunks missing: holes are to be fetched", got, len(m.Chunks))
	}
	fetch(t, p, b, p.Missing())
	ensure(t, p.Finish())
	r.land(m, b, "sparse", "copy")
	for _, n := range []string{"sparse", "copy"} {
		fi, err := os.Stat(filepath.Join(r.root, n))
		ensure(t, err)
		if used := fi.Sys().(*syscall.Stat_t).Blocks * 512; used > 4<<20 {
			t.Errorf("%s takes %d bytes on the disk", n, used)
		}
	}
}

// The path that takes the file itself gives it its mode and mtime while the others copy from it.
func TestPartialForManyPaths(t *testing.T) {
	for round := range 20 {
		r := newRig(t, tree{})
		b := []byte(text(300_000, byte(round)))
		m := cut(t, b)
		p, err := r.f.OpenPartial(t.Context(), m.Root(), m)
		ensure(t, err)
		fetch(t, p, b, p.Missing())
		ensure(t, p.Finish())
		r.land(m, b, "a", "b", "c", "d", "e", "f")
	}
}

func TestPartialFullDisk(t *testing.T) {
	r := newRig(t, tree{})
	b := []byte(text(1<<20, 9))
	m := cut(t, b)
	r.fs.arm(func(c call) error {
		if c.verb == "reserve" {
			return syscall.ENOSPC
		}
		return nil
	})
	_, err := r.f.OpenPartial(t.Context(), m.Root(), m)
	if err == nil || folder.ProblemFor("x", err).Code != folder.CodeDiskFull {
		t.Errorf("error %v, want one for a full disk", err)
	}
	r.fs.arm(nil)
	p, err := r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	ensure(t, p.Drop())
	r.checkTmp()
}

func TestPartialNeverWritesIntoAFile(t *testing.T) {
	r := newRig(t, tree{})
	b := []byte(text(1<<20, 9))
	m := cut(t, b)
	p, err := r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	fetch(t, p, b, p.Missing())
	ensure(t, p.Finish())
	names, err := filepath.Glob(filepath.Join(r.root, ".meerkat/tmp/*"))
	ensure(t, err)
	live := filepath.Join(r.root, "live")
	ensure(t, os.Link(names[0], live)) // as after a crash between the new name and the removal of the old one
	ensure(t, os.WriteFile(live, []byte("the user's"), 0o644))

	p, err = r.f.OpenPartial(t.Context(), m.Root(), m)
	ensure(t, err)
	fetch(t, p, b, p.Missing())
	ensure(t, p.Finish())
	if got := lookAt(t, live).text; got != "the user's" {
		t.Errorf("the live file now holds %.20q", got)
	}
}

// smallDisk is a file system with so much space.
type smallDisk struct {
	folder.FS
	free, total int64
}

func (d *smallDisk) Space() (free, total int64, err error) { return d.free, d.total, nil }

func TestReserve(t *testing.T) {
	const mb = 1 << 20
	b := []byte(text(mb, 9))
	m := cut(t, b)
	for name, c := range map[string]struct {
		setting, free, total int64
		fits                 bool
	}{
		"plenty":                              {10 * mb, 100 * mb, 10_000 * mb, true},
		"just enough":                         {10 * mb, 11 * mb, 10_000 * mb, true},
		"a byte too little":                   {10 * mb, 11*mb - 1, 10_000 * mb, false},
		"a hundredth of a small disk":         {1000 * mb, 2 * mb, 100 * mb, true},
		"less than a hundredth":               {1000 * mb, 2*mb - 1, 100 * mb, false},
		"no reserve, and it fits":             {0, mb, 10_000 * mb, true},
		"no reserve, and the disk is full":    {0, mb - 1, 10_000 * mb, false},
		"the reserve is eaten into by others": {10 * mb, 5 * mb, 10_000 * mb, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			osfs, err := folder.OS(root)
			ensure(t, err)
			disk := &smallDisk{osfs, c.free, c.total}
			f, err := folder.Create(folder.Config{Root: root, Pool: testPool, FS: disk, Reserve: func() int64 { return c.setting }})
			ensure(t, err)
			defer f.Close()
			want := func(what string, err error) {
				t.Helper()
				if full, ok := errors.AsType[*folder.ReserveError](err); c.fits && err != nil || !c.fits && (!ok || full.Free != c.free || !errors.Is(err, folder.ErrReserve)) {
					t.Errorf("%s: %v, fits %v", what, err, c.fits)
				}
			}
			p, err := f.OpenPartial(t.Context(), m.Root(), m)
			want("partial", err)
			if p != nil {
				ensure(t, p.Close())
			}
			want("room", f.Room(mb))
			want("stage", f.Stage("a", file(string(b)).value(t), [][]byte{b}))
			if c.fits {
				return
			}
			if pr := folder.ProblemFor("a", f.Room(mb)); pr.Code != folder.CodeDiskFull || !strings.Contains(pr.Message, "needs 1.0 MB") {
				t.Errorf("the problem says %q: %q", pr.Code, pr.Message)
			}
		})
	}
}

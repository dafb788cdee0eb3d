package folder_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// thing is an entry as tests write it: "dir 755", "link target", or a file's "mode content".
type thing struct {
	kind  event.Kind
	text  string // content or target
	mode  uint16
	mtime int64
}

func file(text string) thing { return thing{event.File, text, 0o644, 1_700_000_000_123456789} }
func dir() thing             { return thing{kind: event.Dir, mode: 0o755} }
func link(to string) thing   { return thing{event.Link, to, 0o777, 1_600_000_000_987654321} }

func (a thing) perm(m uint16) thing { a.mode = m; return a }
func (a thing) at(ns int64) thing   { a.mtime = ns; return a }

func (a thing) String() string {
	return fmt.Sprintf("%s %o %d %.40q", a.kind, a.mode, a.mtime, a.text)
}

// tree is a folder's content by path.
type tree map[string]thing

func (t tree) paths() []string {
	var out []string
	for p := range t {
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return folder.ComparePaths(event.Path(out[i]), event.Path(out[j])) < 0 })
	return out
}

func (a thing) value(t testing.TB) event.Value {
	t.Helper()
	v := event.Value{Kind: a.kind, Mode: a.mode, MTime: a.mtime}
	switch a.kind {
	case event.Link:
		v.Target = a.text
	case event.File:
		v.Size = int64(len(a.text))
		m, err := chunker.Cut(t.Context(), strings.NewReader(a.text), v.Size, v.Class, 1)
		if err != nil {
			t.Fatal(err)
		}
		v.Root = m.Root()
	}
	return v
}

// build makes t below root, which exists.
func (w tree) build(t testing.TB, root string) {
	t.Helper()
	paths := w.paths()
	for _, p := range paths {
		w[p].build(t, filepath.Join(root, p))
	}
	for i := len(paths) - 1; i >= 0; i-- {
		if a := w[paths[i]]; a.kind == event.Dir {
			ensure(t, os.Chmod(filepath.Join(root, paths[i]), os.FileMode(a.mode)))
		}
	}
}

func (a thing) build(t testing.TB, path string) {
	t.Helper()
	switch a.kind {
	case event.Dir:
		ensure(t, os.Mkdir(path, 0o700))
		return
	case event.Link:
		ensure(t, os.Symlink(a.text, path))
	case event.File:
		ensure(t, os.WriteFile(path, []byte(a.text), 0o600))
		ensure(t, os.Chmod(path, os.FileMode(a.mode)))
	}
	ts := []unix.Timespec{unix.NsecToTimespec(a.mtime), unix.NsecToTimespec(a.mtime)}
	ensure(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
}

// look reads what lies below root, without the node's own directory.
func look(t testing.TB, root string) tree {
	t.Helper()
	out := make(tree)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == ".meerkat" {
			return fs.SkipDir
		}
		if rel != "." {
			out[rel] = lookAt(t, path)
		}
		return nil
	})
	ensure(t, err)
	return out
}

func lookAt(t testing.TB, path string) thing {
	t.Helper()
	fi, err := os.Lstat(path)
	ensure(t, err)
	a := thing{mode: uint16(fi.Mode().Perm()), mtime: fi.ModTime().UnixNano()}
	switch {
	case fi.IsDir():
		a.kind, a.mtime = event.Dir, 0
	case fi.Mode()&fs.ModeSymlink != 0:
		a.kind, a.mode = event.Link, 0o777
		a.text, err = os.Readlink(path)
		ensure(t, err)
	default:
		a.kind = event.File
		b, err := os.ReadFile(path)
		if os.IsPermission(err) { // ours, and not to be read: for whoever is not root
			ensure(t, os.Chmod(path, 0o400))
			b, err = os.ReadFile(path)
			ensure(t, os.Chmod(path, fi.Mode().Perm()))
		}
		ensure(t, err)
		a.text = string(b)
	}
	return a
}

// everything gives the contents of all files and links below root, .meerkat included.
func everything(t testing.TB, root string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	ensure(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			a := lookAt(t, path)
			out[a.text] += " " + path
		}
		return nil
	}))
	return out
}

func ensure(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a folder with its index, as a node would keep it.
type rig struct {
	t     testing.TB
	root  string
	fs    *faultFS
	f     *folder.Folder
	index map[event.Path]folder.Have
	opts  folder.Options
	began []folder.Step
}

var testPool = event.PoolID{1, 2, 3}

func newRig(t testing.TB, start tree) *rig {
	t.Helper()
	root := t.TempDir()
	t.Cleanup(func() { unlock(root) })
	return newRigIn(t, root, start)
}

// unlock makes every directory removable again.
func unlock(root string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // who cannot be helped shows when the directory is removed
		}
		return nil
	})
}

func newRigIn(t testing.TB, root string, start tree) *rig {
	t.Helper()
	r := &rig{t: t, root: root, index: make(map[event.Path]folder.Have)}
	start.build(t, r.root)
	r.open(folder.Create)
	r.scan(start)
	return r
}

func (r *rig) open(how func(folder.Config) (*folder.Folder, error)) {
	r.t.Helper()
	disk, err := folder.OS(r.root)
	ensure(r.t, err)
	r.fs = &faultFS{FS: disk}
	r.f, err = how(folder.Config{Root: r.root, Pool: testPool, FS: r.fs})
	ensure(r.t, err)
	f := r.f
	r.t.Cleanup(func() { _ = f.Close() }) // a test may have closed it
	r.opts = folder.Options{
		Begin:   func(s []folder.Step) error { r.began = append(r.began, s...); return nil },
		Known:   func(p event.Path) bool { h, ok := r.index[p]; return ok && h.Value.Live() },
		Ignored: func(p event.Path, _ bool) bool { return strings.HasSuffix(string(p), ".o") },
	}
}

// scan makes the index say what lies on the disk, for everything that is in one of the trees.
func (r *rig) scan(trees ...tree) {
	r.t.Helper()
	now := look(r.t, r.root)
	for _, t := range append(trees, now) {
		for p := range t {
			a, ok := now[p]
			if !ok {
				delete(r.index, event.Path(p))
				continue
			}
			st, _, err := r.f.Lstat(event.Path(p))
			ensure(r.t, err)
			r.index[event.Path(p)] = folder.Have{Value: a.value(r.t), Stat: st, Exists: true}
		}
	}
}

// wants are the differences between the index and a tree.
func (r *rig) wants(to tree) []folder.Want {
	var out []folder.Want
	for p, h := range r.index {
		if _, ok := to[string(p)]; !ok && h.Value.Live() {
			out = append(out, folder.Want{Path: p, Have: h, Value: event.Value{Mode: h.Value.Mode}})
		}
	}
	for _, p := range to.paths() {
		v := to[p].value(r.t)
		if h := r.index[event.Path(p)]; !h.Exists || !h.Value.Same(v) {
			out = append(out, folder.Want{Path: event.Path(p), Have: h, Value: v})
		}
	}
	return out
}

// apply plans, brings the content that is not on this disk, and applies.
func (r *rig) apply(to tree) ([]folder.Outcome, error) {
	r.t.Helper()
	steps := folder.Plan(r.wants(to))
	for i, s := range steps {
		if s.How != folder.Fetch {
			continue
		}
		if err := r.f.Stage(s.Path, s.Want, chunksOf(to[string(s.Path)].text)); err != nil {
			continue // the step answers Lacking
		}
		steps[i].How = folder.Staged
	}
	return r.f.Apply(r.t.Context(), steps, r.opts)
}

func chunksOf(s string) [][]byte {
	b := []byte(s)
	if len(b) < 2 {
		return [][]byte{b}
	}
	return [][]byte{b[:len(b)/2], b[len(b)/2:]}
}

// same compares two trees.
func same(t testing.TB, what string, got, want tree) {
	t.Helper()
	for p, a := range want {
		if b, ok := got[p]; !ok {
			t.Errorf("%s: %s is missing, want %v", what, p, a)
		} else if a != b {
			t.Errorf("%s: %s = %v, want %v", what, p, b, a)
		}
	}
	for p, b := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%s: %s = %v is there, want nothing", what, p, b)
		}
	}
}

// noneLost checks that each content of a tree is somewhere below root.
func noneLost(t testing.TB, what, root string, of tree) {
	t.Helper()
	all := everything(t, root)
	for p, a := range of {
		if _, ok := all[a.text]; !ok && a.kind != event.Dir {
			t.Errorf("%s: the content of %s is lost: %v", what, p, a)
		}
	}
}

func results(out []folder.Outcome) string {
	var b bytes.Buffer
	for _, o := range out {
		fmt.Fprintf(&b, "%s=%s ", o.Path, o.Result)
		if o.Problem.Code != "" {
			fmt.Fprintf(&b, "(%s: %s) ", o.Problem.Code, o.Problem.Message)
		}
	}
	return b.String()
}

func text(n int, seed byte) string {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

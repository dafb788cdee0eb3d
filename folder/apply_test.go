package folder_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/folder"
)

// moves are ways from one tree to another; most tests below run over all of them.
var moves = []struct {
	name     string
	from, to tree
}{
	{"nothing to file", tree{}, tree{"a": file("one")}},
	{"nothing to empty file", tree{}, tree{"a": file("").perm(0o600)}},
	{"nothing to directory", tree{}, tree{"d": dir().perm(0o750)}},
	{"nothing to link", tree{}, tree{"l": link("../nowhere")}},
	{"nothing to tree", tree{}, tree{"d": dir(), "d/e": dir().perm(0o700), "d/e/f": file("x"), "d/l": link("e")}},
	{"file to nothing", tree{"a": file("one")}, tree{}},
	{"file to file", tree{"a": file("one")}, tree{"a": file("two").perm(0o600).at(5)}},
	{"file to empty", tree{"a": file("one")}, tree{"a": file("")}},
	{"file to directory", tree{"a": file("one")}, tree{"a": dir(), "a/b": file("two")}},
	{"file into the directory in its place", tree{"a": file("one")}, tree{"a": dir(), "a/b": file("one")}},
	{"file to link", tree{"a": file("one")}, tree{"a": link("b")}},
	{"directory to nothing", tree{"d": dir(), "d/e": dir(), "d/e/f": file("one"), "d/g": link("x")}, tree{}},
	{"directory to file", tree{"d": dir(), "d/e": dir(), "d/e/f": file("one")}, tree{"d": file("two")}},
	{"directory to a file of its own", tree{"d": dir(), "d/f": file("one")}, tree{"d": file("one")}},
	{"directory to link", tree{"d": dir(), "d/f": file("one")}, tree{"d": link("e"), "e": dir(), "e/f": file("one")}},
	{"empty directory to link", tree{"d": dir()}, tree{"d": link("e")}},
	{"link to nothing", tree{"l": link("a")}, tree{}},
	{"link to file", tree{"l": link("a")}, tree{"l": file("one")}},
	{"link to directory", tree{"l": link("d"), "d": dir()}, tree{"l": dir(), "l/x": file("one"), "d": dir()}},
	{"link to link", tree{"l": link("a")}, tree{"l": link("b").at(77)}},
	{"chmod", tree{"a": file("one"), "d": dir()}, tree{"a": file("one").perm(0o755), "d": dir().perm(0o700)}},
	{"touch", tree{"a": file("one"), "l": link("x")}, tree{"a": file("one").at(1), "l": link("x").at(2)}},
	{"no permission at all", tree{"a": file("one")}, tree{"a": file("two").perm(0), "b": file("three").perm(0)}},
	{"read-only directory", tree{"d": dir().perm(0o555), "d/a": file("one")}, tree{"d": dir().perm(0o555), "d/b": file("two")}},
	{"directory becomes read-only", tree{}, tree{"d": dir().perm(0o555), "d/e": dir().perm(0o500), "d/e/a": file("one")}},
	{"rename", tree{"a": file("one")}, tree{"b": file("one")}},
	{"rename over", tree{"a": file("one"), "b": file("two")}, tree{"b": file("one")}},
	{"rename with touch", tree{"a": file("one")}, tree{"b": file("one").at(9)}},
	{"swap", tree{"a": file("one"), "b": file("two")}, tree{"a": file("two"), "b": file("one")}},
	{"rotation", tree{"a": file("1"), "b": file("2"), "c": file("3")}, tree{"a": file("3"), "b": file("1"), "c": file("2")}},
	{"chain", tree{"a": file("1"), "b": file("2")}, tree{"b": file("1"), "c": file("2")}},
	{"swap with other modes", tree{"a": file("one"), "b": file("two").perm(0o600)}, tree{"a": file("two"), "b": file("one").perm(0o700)}},
	{"copy", tree{"a": file("one")}, tree{"a": file("one"), "b": file("one").perm(0o600)}},
	{"copy and move", tree{"a": file("one")}, tree{"b": file("one"), "c": file("one"), "d": dir(), "d/a": file("one")}},
	{"two equal files change names", tree{"a": file("one"), "b": file("one")}, tree{"c": file("one"), "d": file("one")}},
	{"other capitals", tree{"readme": file("one"), "d": dir(), "d/x": file("two")}, tree{"README": file("one"), "D": dir(), "D/x": file("two")}},
	{
		"directory renamed",
		tree{"d": dir(), "d/e": dir().perm(0o700), "d/e/f": file("one"), "d/g": file("two"), "d/l": link("g")},
		tree{"x": dir(), "x/e": dir().perm(0o700), "x/e/f": file("one"), "x/g": file("two"), "x/l": link("g")},
	},
	{"directories swapped", tree{"d": dir(), "d/f": file("1"), "e": dir(), "e/f": file("2")}, tree{"d": dir(), "d/f": file("2"), "e": dir(), "e/f": file("1")}},
	{"file and directory swapped", tree{"a": file("1"), "d": dir(), "d/f": file("2")}, tree{"d": file("1"), "a": dir(), "a/f": file("2")}},
	{"odd names", tree{"-x\n\x01": file("1")}, tree{"\xff\xfe": file("1"), "'\"": file("2")}},
}

func TestApply(t *testing.T) {
	for _, m := range moves {
		t.Run(m.name, func(t *testing.T) {
			r := newRig(t, m.from)
			out, err := r.apply(m.to)
			ensure(t, err)
			for _, o := range out {
				if o.Result != folder.Done {
					t.Errorf("%s: %s %v", o.Path, o.Result, o.Problem)
				}
				r.checkStat(o, m.to)
			}
			same(t, "after apply", look(t, r.root), m.to)
			noneLost(t, "after apply", r.root, m.from)
			r.checkVersions(out, m.from)
			r.checkTmp()
		})
	}
}

// checkStat compares an outcome's stat with the disk.
func (r *rig) checkStat(o folder.Outcome, to tree) {
	r.t.Helper()
	st, there, err := r.f.Lstat(o.Path)
	ensure(r.t, err)
	if _, want := to[string(o.Path)]; want != there {
		r.t.Errorf("%s: there %v, want %v", o.Path, there, want)
	} else if there && !st.Same(o.Stat) {
		r.t.Errorf("%s: outcome's stat %+v, disk %+v", o.Path, o.Stat, st)
	}
}

// checkVersions proves that outcomes tell where the old content is, and under which root.
func (r *rig) checkVersions(out []folder.Outcome, from tree) {
	r.t.Helper()
	for _, o := range out {
		if o.Version == nil {
			continue
		}
		was := from[string(o.Path)]
		got := lookAt(r.t, filepath.Join(r.root, ".meerkat/versions", string(o.Version.Path)))
		if got.text != was.text || o.Version.Root != was.value(r.t).Root || o.Version.Of != o.Path {
			r.t.Errorf("%s: version %+v holds %v, want %v", o.Path, o.Version, got, was)
		}
	}
}

// checkTmp wants nothing left in tmp.
func (r *rig) checkTmp() {
	r.t.Helper()
	names, err := os.ReadDir(filepath.Join(r.root, ".meerkat/tmp"))
	ensure(r.t, err)
	for _, n := range names {
		r.t.Errorf("left in tmp: %s", n.Name())
	}
}

var errInjected = fmt.Errorf("injected: %w", syscall.EIO)

// TestApplyPlainDisk applies on a file system that can neither exchange two names nor give a file a second one.
func TestApplyPlainDisk(t *testing.T) {
	for _, m := range moves {
		t.Run(m.name, func(t *testing.T) {
			r := newRig(t, m.from)
			r.fs.arm(func(c call) error {
				switch c.verb {
				case "exchange":
					return folder.ErrUnsupported
				case "hardlink":
					return syscall.EPERM
				}
				return nil
			})
			out, err := r.apply(m.to)
			ensure(t, err)
			same(t, results(out), look(t, r.root), m.to)
			noneLost(t, "plain disk", r.root, m.from)
			r.checkTmp()
		})
	}
}

// calls counts the calls of one undisturbed apply.
func calls(t *testing.T, from, to tree) int {
	t.Helper()
	r := newRig(t, from)
	r.fs.arm(nil)
	_, err := r.apply(to)
	ensure(t, err)
	return r.fs.n
}

// TestApplyFault fails each call once. Nothing is lost, no path holds anything but what it held or shall hold, and
// when the trouble is over a second attempt gets there.
func TestApplyFault(t *testing.T) {
	for _, m := range moves {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for n := range calls(t, m.from, m.to) {
				r := newRig(t, m.from)
				var hit call
				r.fs.arm(func(c call) error {
					if c.n == n {
						hit = c
						return errInjected
					}
					return nil
				})
				out, err := r.apply(m.to)
				what := fmt.Sprintf("fault at %+v (%v, %s)", hit, err, results(out))
				r.fs.arm(nil)
				r.whole(what, m.from, m.to)
				noneLost(t, what, r.root, m.from)
				r.again(what, m.from, m.to)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// whole checks that each path holds what it held, what it shall hold, or, if it may, nothing.
func (r *rig) whole(what string, from, to tree) {
	r.t.Helper()
	now := look(r.t, r.root)
	for p, a := range now {
		was, hadOne := from[p]
		want, wants := to[p]
		if !(hadOne && a.text == was.text && a.kind == was.kind) && !(wants && a.text == want.text && a.kind == want.kind) {
			r.t.Errorf("%s: %s holds %v, which is neither %v nor %v", what, p, a, was, want)
		}
	}
	for p, was := range from {
		_, stays := to[p]
		if _, there := now[p]; stays && !there {
			r.t.Errorf("%s: %s is missing, was %v", what, p, was)
		}
	}
}

// again scans and applies until the tree is right.
func (r *rig) again(what string, from, to tree) {
	r.t.Helper()
	var out []folder.Outcome
	for range 3 {
		r.scan(from, to)
		var err error
		out, err = r.apply(to)
		ensure(r.t, err)
	}
	same(r.t, what+", again "+results(out), look(r.t, r.root), to)
	noneLost(r.t, what+", again", r.root, from)
}

var errCrash = errors.New("the process is gone")

// TestApplyCrash lets nothing happen after the n-th call, starts anew, recovers from the intents, and goes on.
func TestApplyCrash(t *testing.T) {
	for _, m := range moves {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for n := range calls(t, m.from, m.to) {
				r := newRig(t, m.from)
				var hit call
				r.fs.arm(func(c call) error {
					if c.n < n {
						return nil
					}
					if c.n == n {
						hit = c
					}
					return errCrash
				})
				_, _ = r.apply(m.to) // what a process says that is gone does not count
				what := fmt.Sprintf("crash at %+v", hit)
				r.restart(what)
				r.whole(what, m.from, m.to)
				noneLost(t, what, r.root, m.from)
				r.again(what, m.from, m.to)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// restart opens the folder again and recovers; the index is believed where Recover says so.
func (r *rig) restart(what string) {
	r.t.Helper()
	ensure(r.t, r.f.Close())
	began := r.began
	r.open(folder.Open)
	var intents []folder.Intent
	for _, s := range began {
		intents = append(intents, folder.Intent{Path: s.Path, Old: s.Have.Value, New: s.Want, OldStat: s.Have.Stat})
	}
	got, err := r.f.Recover(r.t.Context(), intents)
	ensure(r.t, err)
	for i, g := range got {
		if g.Fate == folder.Damaged || g.Fate == folder.Edited {
			r.t.Errorf("%s: %s is %s", what, g.Path, g.Fate)
		}
		if _, there, _ := r.f.Lstat(g.Path); g.Fate == folder.Applied && there != intents[i].New.Live() {
			r.t.Errorf("%s: %s is applied, and there: %v", what, g.Path, there)
		}
	}
}

// TestApplyEdit lets the user write, remove or replace a path right before the n-th call. What the user made stays where it
// is, and no outcome lets the index believe otherwise.
func TestApplyEdit(t *testing.T) {
	// Through a link an edit does not reach the path that it is meant for.
	linked := func(path string) bool {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		return err != nil || dir != filepath.Dir(path)
	}
	edits := map[string]func(t *testing.T, path string) bool{
		"written in place": func(t *testing.T, path string) bool {
			f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
			if err != nil || linked(path) {
				return false
			}
			_, err = f.WriteString("EDIT")
			ensure(t, errors.Join(err, f.Close()))
			return true
		},
		"replaced": func(t *testing.T, path string) bool {
			if fi, err := os.Lstat(path); err != nil || fi.IsDir() || linked(path) {
				return false
			}
			if os.WriteFile(path+".new", []byte("EDIT"), 0o644) != nil {
				return false
			}
			ensure(t, os.Rename(path+".new", path))
			return true
		},
		"created": func(t *testing.T, path string) bool {
			if linked(path) {
				return false
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if err != nil {
				return false
			}
			_, err = f.WriteString("EDIT")
			ensure(t, errors.Join(err, f.Close()))
			return true
		},
	}
	for name, edit := range edits {
		for _, m := range moves {
			t.Run(name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				total := calls(t, m.from, m.to)
				for i, p := range both(m.from, m.to) {
					step := stride(total)
					for n := i % step; n < total; n += step {
						editAt(t, m.from, m.to, p, n, edit)
						if t.Failed() {
							return
						}
					}
				}
			})
		}
	}
}

// stride thins the calls that an edit comes before; MEERKAT_LONG=1 tries them all.
func stride(total int) int {
	if os.Getenv("MEERKAT_LONG") != "" {
		return 1
	}
	return max(1, total/3)
}

func both(from, to tree) []string {
	all := make(tree)
	for _, t := range []tree{from, to} {
		for p, a := range t {
			all[p] = a
		}
	}
	return all.paths()
}

func editAt(t *testing.T, from, to tree, p string, n int, edit func(*testing.T, string) bool) {
	t.Helper()
	r := newRig(t, from)
	path, made := filepath.Join(r.root, p), false
	var hit call
	r.fs.arm(func(c call) error {
		if c.n == n {
			hit, made = c, edit(t, path)
		}
		return nil
	})
	out, err := r.apply(to)
	if !made {
		return
	}
	what := fmt.Sprintf("edit of %s before %+v (%v %s)", p, hit, err, results(out))
	b, err := os.ReadFile(path)
	if err != nil || string(b[:min(4, len(b))]) != "EDIT" {
		t.Errorf("%s: the edit is not at its path any more: %q, %v", what, b, err)
	}
	for _, o := range out {
		if st, there, _ := r.f.Lstat(o.Path); string(o.Path) == p && o.Result == folder.Done && there && o.Stat == st && !o.Racy {
			t.Errorf("%s: the index would take the edit for the pool's value", what)
		}
	}
}

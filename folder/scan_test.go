//go:build unix

package folder_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// ground is a folder under test and an index in memory that believes all it is told.
type ground struct {
	t    testing.TB
	dir  string
	f    *folder.Folder
	mu   sync.Mutex
	rows map[event.Path]folder.Known
	kids map[event.Path][]string // sorted
	ix   folder.Index
}

func newGround(t testing.TB) *ground {
	t.Helper()
	dir := t.TempDir()
	f, err := folder.Create(folder.Config{Root: dir, Pool: event.PoolID{1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	g := &ground{t: t, dir: dir, f: f, rows: map[event.Path]folder.Known{}, kids: map[event.Path][]string{}}
	g.ix = folder.Index{Dir: g.list, At: g.at}
	return g
}

func (g *ground) list(dir event.Path, yield func(string, folder.Known) bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range g.kids[dir] {
		if !yield(name, g.rows[dir.Join(name)]) {
			break
		}
	}
	return nil
}

func (g *ground) at(p event.Path) (folder.Known, bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, ok := g.rows[p]
	return k, ok, nil
}

func (g *ground) put(p event.Path, k folder.Known) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.rows[p]; !ok {
		names := g.kids[p.Dir()]
		i, _ := slices.BinarySearch(names, p.Base())
		g.kids[p.Dir()] = slices.Insert(names, i, p.Base())
	}
	g.rows[p] = k
}

func (g *ground) forget(p event.Path) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.rows, p)
	g.kids[p.Dir()] = slices.DeleteFunc(g.kids[p.Dir()], func(s string) bool { return s == p.Base() })
}

func (g *ground) learn(seen []folder.Seen) {
	for _, s := range seen {
		if s.Ignored {
			g.forget(s.Path)
			continue
		}
		v := s.Value
		g.put(s.Path, folder.Known{
			Kind: v.Kind, Stat: s.Stat, Racy: s.Racy, Root: v.Root, Class: v.Class, Target: v.Target, Mode: v.Mode, MTime: v.MTime,
		})
	}
}

// calm makes every row look old enough to be trusted, as time would.
func (g *ground) calm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, k := range g.rows {
		k.Racy = false
		g.rows[p] = k
	}
}

func (g *ground) scan(dirty ...folder.Dirty) ([]folder.Seen, []folder.Problem) {
	g.t.Helper()
	var all []folder.Seen
	problems, err := g.f.Scan(g.t.Context(), g.ix, dirty, func(s []folder.Seen) error {
		if len(s) == 0 || len(s) > 512 {
			g.t.Errorf("a batch of %d", len(s))
		}
		all = append(all, s...)
		return nil
	}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return all, problems
}

// settle scans until nothing is new, and learns it.
func (g *ground) settle() {
	g.t.Helper()
	seen, _ := g.scan()
	g.learn(seen)
	g.calm()
}

func (g *ground) path(name string) string { return filepath.Join(g.dir, name) }

func (g *ground) write(name, content string) {
	g.t.Helper()
	must(g.t, os.MkdirAll(filepath.Dir(g.path(name)), 0o755))
	must(g.t, os.WriteFile(g.path(name), []byte(content), 0o644))
}

func (g *ground) mkdir(name string) { g.t.Helper(); must(g.t, os.MkdirAll(g.path(name), 0o755)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// brief says in words what was seen, in order of path.
func brief(seen []folder.Seen) []string {
	var out []string
	for _, s := range seen {
		what := s.Value.Kind.String()
		switch {
		case s.Ignored:
			what = "ignored"
		case s.Gone:
			what = "gone"
		case s.Only != "":
			what += " " + string(s.Only)
		}
		out = append(out, string(s.Path)+": "+what)
	}
	slices.Sort(out)
	return out
}

func wantSeen(t testing.TB, got []folder.Seen, want ...string) {
	t.Helper()
	slices.Sort(want)
	if g := brief(got); !slices.Equal(g, want) {
		t.Errorf("seen\n  %s\nwant\n  %s", strings.Join(g, "\n  "), strings.Join(want, "\n  "))
	}
}

func wantProblems(t testing.TB, got []folder.Problem, want ...string) {
	t.Helper()
	var g []string
	for _, p := range got {
		if p.Message == "" {
			t.Errorf("problem %+v has no message", p)
		}
		g = append(g, string(p.Path)+": "+p.Code)
	}
	slices.Sort(g)
	slices.Sort(want)
	if !slices.Equal(g, want) {
		t.Errorf("problems %q, want %q", got, want)
	}
}

func TestFirstScanSeesEverything(t *testing.T) {
	g := newGround(t)
	g.write("a/b/f", "hello")
	g.write("empty", "")
	g.mkdir("none")
	must(t, os.Symlink("/etc/passwd", g.path("a/l")))
	must(t, os.Symlink("..", g.path("a/b/up")))
	must(t, os.Chmod(g.path("a/b/f"), 0o751))
	stamp := time.Unix(1_500_000_000, 123_456_789)
	must(t, os.Chtimes(g.path("a/b/f"), stamp, stamp))
	seen, problems := g.scan()
	wantProblems(t, problems)
	wantSeen(t, seen, "a: dir", "a/b: dir", "a/b/f: file", "a/b/up: link", "a/l: link", "empty: file", "none: dir")
	before := map[event.Path]bool{"": true}
	for _, s := range seen {
		if !before[s.Path.Dir()] {
			t.Errorf("%s was emitted before its directory", s.Path)
		}
		before[s.Path] = true
		switch s.Path {
		case "a/b/f":
			m, err := chunker.Cut(t.Context(), strings.NewReader("hello"), 5, chunker.Small, 1)
			must(t, err)
			want := event.Value{Kind: event.File, Root: m.Root(), Size: 5, Chunks: m.Chunks, Mode: 0o751, MTime: stamp.UnixNano()}
			if !s.Value.Same(want) || s.Value.Size != 5 || len(s.Value.Chunks) != 1 || s.Manifest.Root() != m.Root() {
				t.Errorf("value %+v, want %+v", s.Value, want)
			}
		case "empty":
			if s.Value.Chunks != nil || s.Value.Root.IsZero() || !s.Racy {
				t.Errorf("empty file %+v, racy %v", s.Value, s.Racy)
			}
		case "a/l":
			if s.Value.Target != "/etc/passwd" || s.Value.Mode != 0o777 || s.Value.MTime == 0 {
				t.Errorf("link %+v", s.Value)
			}
		case "none":
			if s.Value.MTime != 0 || s.Value.Mode != 0o755 {
				t.Errorf("directory %+v", s.Value)
			}
		}
	}
	g.learn(seen)
	g.calm()
	seen, problems = g.scan()
	wantSeen(t, seen)
	wantProblems(t, problems)
}

func TestScanFindsEachChange(t *testing.T) {
	tests := map[string]struct {
		change func(g *ground)
		want   []string
	}{
		"content": {func(g *ground) { g.write("d/f", "other") }, []string{"d/f: file"}},
		"content of equal size with the old mtime": {func(g *ground) {
			fi, err := os.Stat(g.path("d/f"))
			must(g.t, err)
			g.write("d/f", "TEXT")
			must(g.t, os.Chtimes(g.path("d/f"), fi.ModTime(), fi.ModTime()))
		}, []string{"d/f: file"}},
		"mode":           {func(g *ground) { must(g.t, os.Chmod(g.path("d/f"), 0o600)) }, []string{"d/f: file"}},
		"directory mode": {func(g *ground) { must(g.t, os.Chmod(g.path("d"), 0o700)) }, []string{"d: dir"}},
		"mtime":          {func(g *ground) { must(g.t, os.Chtimes(g.path("d/f"), time.Now(), time.Unix(5, 5))) }, []string{"d/f: file"}},
		"rewritten with the same bytes and mtime": {func(g *ground) {
			fi, err := os.Stat(g.path("d/f"))
			must(g.t, err)
			must(g.t, os.Remove(g.path("d/f")))
			g.write("d/f", "text")
			must(g.t, os.Chtimes(g.path("d/f"), fi.ModTime(), fi.ModTime()))
		}, []string{"d/f: file stat"}},
		"delete":            {func(g *ground) { must(g.t, os.Remove(g.path("d/f"))) }, []string{"d/f: gone"}},
		"delete a tree":     {func(g *ground) { must(g.t, os.RemoveAll(g.path("d"))) }, []string{"d: gone", "d/f: gone", "d/l: gone", "d/s: gone", "d/s/g: gone"}},
		"link target":       {func(g *ground) { must(g.t, os.Remove(g.path("d/l"))); must(g.t, os.Symlink("y", g.path("d/l"))) }, []string{"d/l: link"}},
		"file to directory": {func(g *ground) { must(g.t, os.Remove(g.path("d/f"))); g.mkdir("d/f/x") }, []string{"d/f: dir", "d/f/x: dir"}},
		"directory to file": {func(g *ground) { must(g.t, os.RemoveAll(g.path("d/s"))); g.write("d/s", "") }, []string{"d/s: file", "d/s/g: gone"}},
		"directory to link": {func(g *ground) { must(g.t, os.RemoveAll(g.path("d/s"))); must(g.t, os.Symlink("f", g.path("d/s"))) }, []string{"d/s: link", "d/s/g: gone"}},
		"link to directory": {func(g *ground) { must(g.t, os.Remove(g.path("d/l"))); g.write("d/l/z", "z") }, []string{"d/l: dir", "d/l/z: file"}},
		"rename":            {func(g *ground) { must(g.t, os.Rename(g.path("d/s"), g.path("d/t"))) }, []string{"d/t: dir", "d/t/g: file", "d/s: gone", "d/s/g: gone"}},
		"a deep new tree":   {func(g *ground) { g.write("n/m/o", "") }, []string{"n: dir", "n/m: dir", "n/m/o: file"}},
	}
	for name, tt := range tests {
		for _, way := range []string{"full", "dirty"} {
			t.Run(name+", "+way, func(t *testing.T) {
				g := newGround(t)
				g.write("d/f", "text")
				g.write("d/s/g", "gg")
				must(t, os.Symlink("x", g.path("d/l")))
				g.write("other", "untouched")
				g.settle()
				tt.change(g)
				var dirty []folder.Dirty
				for _, w := range tt.want {
					p, _, _ := strings.Cut(w, ":")
					dirty = append(dirty, folder.Dirty{Path: event.Path(p)})
				}
				if way == "full" {
					dirty = nil
				}
				seen, problems := g.scan(dirty...)
				wantSeen(t, seen, tt.want...)
				wantProblems(t, problems)
				g.learn(seen)
				g.calm()
				seen, _ = g.scan()
				wantSeen(t, seen)
			})
		}
	}
}

func TestDirtyPathNeedNotBeTheOneThatChanged(t *testing.T) {
	g := newGround(t)
	g.write("k/f", "1")
	g.settle()
	g.write("n/m/deep/f", "x")
	g.write("n/m/g", "x")
	seen, _ := g.scan(folder.Dirty{Path: "n/m/deep/f"})
	wantSeen(t, seen, "n: dir", "n/m: dir", "n/m/deep: dir", "n/m/deep/f: file", "n/m/g: file")
	must(t, os.RemoveAll(g.path("k")))
	seen, _ = g.scan(folder.Dirty{Path: "k/f"}, folder.Dirty{Path: "never/was"}, folder.Dirty{Path: ".meerkat/pool"}, folder.Dirty{Path: "../x"})
	wantSeen(t, seen, "k: gone", "k/f: gone")
}

func TestBelowLooksIntoKnownDirectories(t *testing.T) {
	g := newGround(t)
	g.write("d/e/f", "1")
	g.settle()
	g.write("d/e/f", "22")
	seen, _ := g.scan(folder.Dirty{Path: "d"})
	wantSeen(t, seen)
	seen, _ = g.scan(folder.Dirty{Path: "d"}, folder.Dirty{Path: "d", Below: true})
	wantSeen(t, seen, "d/e/f: file")
	seen, _ = g.scan(folder.Dirty{Below: true})
	wantSeen(t, seen, "d/e/f: file")
}

func TestScanWithoutAtUsesDir(t *testing.T) {
	g := newGround(t)
	g.ix.At = nil
	g.write("d/f", "1")
	g.write("d/g", "1")
	g.settle()
	g.write("d/g", "22")
	must(t, os.Remove(g.path("d/f")))
	seen, _ := g.scan(folder.Dirty{Path: "d/g"}, folder.Dirty{Path: "d/f"})
	wantSeen(t, seen, "d/f: gone", "d/g: file")
}

func TestGoneComesLastChildrenFirst(t *testing.T) {
	g := newGround(t)
	g.write("a/b/c", "")
	g.settle()
	must(t, os.RemoveAll(g.path("a")))
	g.write("z", "")
	seen, _ := g.scan()
	var order []event.Path
	for _, s := range seen {
		order = append(order, s.Path)
	}
	if want := []event.Path{"z", "a/b/c", "a/b", "a"}; !slices.Equal(order, want) {
		t.Errorf("emitted in the order %q, want %q", order, want)
	}
}

func TestRacyFileIsReadAgain(t *testing.T) {
	g := newGround(t)
	g.write("f", "old!")
	seen, _ := g.scan()
	if len(seen) != 1 || !seen[0].Racy {
		t.Fatalf("a file of this moment is not racy: %+v", seen)
	}
	g.learn(seen)
	// The same Stat with other bytes: the change fell into the granularity of the clock.
	k := g.rows["f"]
	k.Root = chunker.Sum([]byte("something else"))
	g.put("f", k)
	seen, _ = g.scan()
	wantSeen(t, seen, "f: file")
	k.Racy = false
	g.put("f", k)
	seen, _ = g.scan()
	wantSeen(t, seen)
}

func TestRacyEndsInSilence(t *testing.T) {
	g := newGround(t)
	g.write("f", "x")
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(g.path("f"), old, old))
	seen, _ := g.scan()
	g.learn(seen)
	seen, _ = g.scan() // the ctime is still young
	wantSeen(t, seen)
}

func TestUnreadableIsUnknown(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	g := newGround(t)
	g.write("d/f", "1")
	g.write("e/f", "1")
	g.write("h", "1")
	g.settle()
	must(t, os.Chmod(g.path("d"), 0))
	must(t, os.Chmod(g.path("e"), 0o444)) // names can be read, nothing else
	g.write("h", "22")
	must(t, os.Chmod(g.path("h"), 0))
	t.Cleanup(func() { _ = os.Chmod(g.path("d"), 0o755); _ = os.Chmod(g.path("e"), 0o755) })
	seen, problems := g.scan()
	wantSeen(t, seen, "d: dir", "e: dir")
	wantProblems(t, problems, "d: unreadable", "e/f: unreadable", "h: unreadable")
	_, problems = g.scan(folder.Dirty{Path: "d/f"}, folder.Dirty{Path: "h"})
	wantProblems(t, problems, "d/f: unreadable", "h: unreadable")
}

// asNobody runs this test in a process that is not root: root can read everything.
func asNobody(t *testing.T) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "folder.test")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("no /proc to run a test as another user: %v", err)
	}
	must(t, os.WriteFile(bin, self, 0o755))
	for dir := filepath.Dir(bin); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	work := filepath.Join(filepath.Dir(bin), "tmp")
	must(t, os.Mkdir(work, 0o777))
	must(t, os.Chmod(work, 0o777))
	p, err := os.StartProcess(bin, []string{bin, "-test.run", "^" + t.Name() + "$", "-test.v"}, &os.ProcAttr{
		Dir: work, Env: []string{"TMPDIR=" + work, "HOME=" + work}, Files: []*os.File{nil, os.Stderr, os.Stderr},
		Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
	})
	must(t, err)
	st, err := p.Wait()
	must(t, err)
	if !st.Success() {
		t.Errorf("as nobody: %v", st)
	}
}

func TestSpecialFilesAreNeverOpened(t *testing.T) {
	g := newGround(t)
	g.write("was", "a file")
	g.settle()
	must(t, os.Remove(g.path("was")))
	must(t, syscall.Mkfifo(g.path("was"), 0o600))
	must(t, syscall.Mkfifo(g.path("fifo"), 0o600)) // opening it would block for ever
	g.write("x", "goes on")
	seen, problems := g.scan()
	wantSeen(t, seen, "x: file")
	wantProblems(t, problems, "fifo: special", "was: special")
	seen, _ = g.scan(folder.Dirty{Path: "fifo"}, folder.Dirty{Path: "was"})
	wantSeen(t, seen)
}

func TestNamesAreBytes(t *testing.T) {
	g := newGround(t)
	names := []string{"\xff\xfe", "e\u0301", "\u00e9", " ", "a\nb", "~", ".hidden", strings.Repeat("n", 255)}
	var want []string
	for _, n := range names {
		g.write(n, "")
		want = append(want, n+": file")
	}
	seen, problems := g.scan()
	wantSeen(t, seen, want...)
	wantProblems(t, problems)
}

func TestPathsBeyondTheLimitAreReported(t *testing.T) {
	g := newGround(t)
	fd, err := os.OpenRoot(g.dir)
	must(t, err)
	defer fd.Close()
	name := strings.Repeat("d", 200)
	depth := 0
	for at := fd; depth < 21; depth++ { // 21 × 201 is more than 4096
		must(t, at.Mkdir(name, 0o755))
		next, err := at.OpenRoot(name)
		must(t, err)
		defer next.Close()
		at = next
	}
	seen, problems := g.scan()
	if len(seen) != 20 || len(problems) != 1 || problems[0].Code != folder.CodeName {
		t.Errorf("%d seen, problems %v; want 20 and one of code name", len(seen), problems)
	}
}

func TestIgnoredIsUntouched(t *testing.T) {
	g := newGround(t)
	g.write("keep/f", "1")
	g.write("out/x/y", "1")
	g.write("a.o", "1")
	g.write("gone.o", "1")
	g.settle()
	g.write(".meerkatignore", "*.o\nout/\n")
	must(t, os.Remove(g.path("gone.o")))
	g.write("new.o", "1")
	g.write(".meerkatignore.local", "")
	seen, problems := g.scan(folder.Dirty{Path: "keep"}) // new rules: everything is looked at
	wantSeen(t, seen, ".meerkatignore: file", "a.o: ignored", "gone.o: ignored", "out: ignored", "out/x: ignored", "out/x/y: ignored")
	wantProblems(t, problems)
	g.learn(seen)
	g.calm()
	g.write("out/x/y", "22")
	seen, _ = g.scan()
	wantSeen(t, seen)
	seen, _ = g.scan(folder.Dirty{Path: "out/x/y"}, folder.Dirty{Path: "new.o"})
	wantSeen(t, seen)
	must(t, os.Remove(g.path(".meerkatignore")))
	seen, _ = g.scan(folder.Dirty{Path: ".meerkatignore"})
	wantSeen(t, seen, ".meerkatignore: gone", "a.o: file", "new.o: file", "out: dir", "out/x: dir", "out/x/y: file")
}

func TestIgnoredBelowAGoneDirectoryIsNotGone(t *testing.T) {
	g := newGround(t)
	g.write("d/f", "1")
	g.write("d/x.o", "1")
	g.settle()
	g.write(".meerkatignore", "*.o\n")
	must(t, os.RemoveAll(g.path("d")))
	seen, _ := g.scan()
	wantSeen(t, seen, ".meerkatignore: file", "d: gone", "d/f: gone", "d/x.o: ignored")
}

func TestDeletedDirectoryWithIgnoredRestStaysDeleted(t *testing.T) {
	g := newGround(t)
	g.write(".meerkatignore", "*.o\n")
	g.write("d/sub/a.o", "1")
	g.mkdir("e")
	g.write("h/a.o", "1")
	g.write("h/new", "1")
	must(t, syscall.Mkfifo(g.path("d/fifo"), 0o600))
	for _, p := range []event.Path{"d", "d/sub", "e", "h"} {
		g.put(p, folder.Known{Kind: event.Tomb, Mode: 0o755})
	}
	seen, _ := g.scan()
	wantSeen(t, seen, ".meerkatignore: file", "e: dir", "h: dir", "h/new: file")
	g.mkdir("d/other")
	seen, _ = g.scan(folder.Dirty{Path: "d"})
	wantSeen(t, seen, "d: dir", "d/other: dir") // sub is still what it was
}

func TestRulesAreNotReadThroughALink(t *testing.T) {
	g := newGround(t)
	g.write("f", "")
	must(t, os.Symlink("f", g.path(".meerkatignore")))
	seen, problems := g.scan()
	wantSeen(t, seen, "f: file", ".meerkatignore: link")
	wantProblems(t, problems, ".meerkatignore: ignore_rule")
}

func TestMissingMarkerStopsTheScan(t *testing.T) {
	g := newGround(t)
	g.write("f", "")
	g.settle()
	must(t, os.RemoveAll(g.path(".meerkat")))
	must(t, os.Remove(g.path("f")))
	_, err := g.f.Scan(t.Context(), g.ix, nil, func(s []folder.Seen) error { t.Errorf("emitted %v", brief(s)); return nil }, nil)
	if _, ok := errors.AsType[*folder.GuardError](err); !ok {
		t.Errorf("error %v, want a GuardError", err)
	}
}

// The marker goes while the scan runs: what looks deleted may be a disk that was taken away.
func TestGuardsAreAskedBeforeAnythingIsGone(t *testing.T) {
	g := newGround(t)
	g.write("f", "")
	g.settle()
	must(t, os.Remove(g.path("f")))
	list := g.ix.Dir
	g.ix.Dir = func(dir event.Path, yield func(string, folder.Known) bool) error {
		must(t, os.RemoveAll(g.path(".meerkat")))
		return list(dir, yield)
	}
	_, err := g.f.Scan(t.Context(), g.ix, nil, func(s []folder.Seen) error { t.Errorf("emitted %v", brief(s)); return nil }, nil)
	if _, ok := errors.AsType[*folder.GuardError](err); !ok {
		t.Errorf("error %v, want a GuardError", err)
	}
}

func TestAnotherDeviceIsHeld(t *testing.T) {
	g := newGround(t)
	g.write("m/f", "1")
	g.write("n/f", "1")
	g.write("g", "1")
	g.settle()
	// The index knew both on a disk that is not there: m's mount point is left, n's is gone as well.
	for p, k := range g.rows {
		if p != "g" {
			k.Stat.Dev, k.Stat.Ino = k.Stat.Dev+1, k.Stat.Ino+1_000_000
			g.rows[p] = k
		}
	}
	must(t, os.Remove(g.path("m/f")))
	must(t, os.RemoveAll(g.path("n")))
	seen, problems := g.scan()
	wantSeen(t, seen)
	wantProblems(t, problems, "m: sub_mount", "n: sub_mount")
	seen, problems = g.scan(folder.Dirty{Path: "m/f"}, folder.Dirty{Path: "n/f"})
	wantSeen(t, seen)
	wantProblems(t, problems, "m: sub_mount", "n: sub_mount")
	g.ix.Accept = func(dir event.Path) bool { return true }
	seen, _ = g.scan()
	wantSeen(t, seen, "m: dir stat", "m/f: gone", "n: gone", "n/f: gone")
}

func TestRenumberedDeviceCostsNoHash(t *testing.T) {
	g := newGround(t)
	g.write("d/f", "1")
	g.write("d/deleted", "1")
	g.write("x/deleted", "1")
	g.settle()
	for p, k := range g.rows {
		k.Stat.Dev += 7
		g.rows[p] = k
	}
	must(t, os.Remove(g.path("d/deleted")))
	must(t, os.RemoveAll(g.path("x")))
	seen, problems := g.scan()
	wantSeen(t, seen, "d: dir stat", "d/f: file stat", "d/deleted: gone", "x: gone", "x/deleted: gone")
	wantProblems(t, problems)
}

func TestScanSurvivesConcurrentWrites(t *testing.T) {
	g := newGround(t)
	for i := range 50 {
		g.write(fmt.Sprintf("d%d/f", i%5), strings.Repeat("x", 1000+i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			name := g.path(fmt.Sprintf("d%d/f", i%5))
			_ = os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, 100_000), 0o644)
			_ = os.Rename(name, name+"2")
			_ = os.Rename(name+"2", name)
		}
	})
	for range 20 {
		seen, problems := g.scan()
		g.learn(seen)
		for _, p := range problems {
			if p.Code != folder.CodeUnstable && p.Code != folder.CodeVanished {
				t.Errorf("problem %+v", p)
			}
		}
	}
	cancel()
	busy.Wait()
	g.settle()
	seen, _ := g.scan()
	wantSeen(t, seen)
	for i := range 5 {
		p := event.Path(fmt.Sprintf("d%d/f", i))
		b, err := os.ReadFile(g.path(string(p)))
		must(t, err)
		m, err := chunker.Cut(t.Context(), bytes.NewReader(b), int64(len(b)), chunker.Small, 1)
		must(t, err)
		if g.rows[p].Root != m.Root() {
			t.Errorf("the index has %s of %s, the disk %s", g.rows[p].Root, p, m.Root())
		}
	}
}

func TestScanStopsOnErrorsAndCancel(t *testing.T) {
	g := newGround(t)
	for i := range 3000 {
		g.write(fmt.Sprintf("d%d/f%d", i%7, i), "")
	}
	boom := errors.New("boom")
	emit := func([]folder.Seen) error { return boom }
	if _, err := g.f.Scan(t.Context(), g.ix, nil, emit, nil); !errors.Is(err, boom) {
		t.Errorf("error of emit: %v", err)
	}
	ix := g.ix
	ix.Dir = func(event.Path, func(string, folder.Known) bool) error { return boom }
	emit = func([]folder.Seen) error { return nil }
	if _, err := g.f.Scan(t.Context(), ix, nil, emit, nil); !errors.Is(err, boom) {
		t.Errorf("error of the index: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	emit = func([]folder.Seen) error { cancel(); return nil }
	if _, err := g.f.Scan(ctx, g.ix, nil, emit, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error after cancel: %v", err)
	}
}

func TestHintDecidesTheClass(t *testing.T) {
	g := newGround(t)
	g.write("f", strings.Repeat("0123456789", 200_000))
	must(t, os.Truncate(g.path("f"), 100<<20)) // Medium keeps this size
	g.ix.Hint = func(p event.Path) (chunker.Class, bool) { return chunker.Medium, p == "f" }
	var last folder.Progress
	_, err := g.f.Scan(t.Context(), g.ix, nil, func(s []folder.Seen) error {
		if s[0].Value.Class != chunker.Medium || s[0].Manifest.Class != chunker.Medium || s[0].Value.Chunks != nil {
			t.Errorf("class %v, %d chunks inline", s[0].Value.Class, len(s[0].Value.Chunks))
		}
		return nil
	}, func(p folder.Progress) { last = p })
	must(t, err)
	if want := (folder.Progress{Dirs: 1, Files: 1, Hashed: 1, Bytes: 100 << 20}); last != want {
		t.Errorf("progress %+v, want %+v", last, want)
	}
}

func TestBigBatchesAreCutUp(t *testing.T) {
	g := newGround(t)
	var want []string
	for i := range 1500 {
		g.write(fmt.Sprintf("f%04d", i), "")
		want = append(want, fmt.Sprintf("f%04d: file", i))
	}
	seen, _ := g.scan()
	wantSeen(t, seen, want...)
	g.learn(seen)
	g.calm()
	for i := range 1500 {
		must(t, os.Remove(g.path(fmt.Sprintf("f%04d", i))))
		want[i] = fmt.Sprintf("f%04d: gone", i)
	}
	seen, _ = g.scan()
	wantSeen(t, seen, want...)
}

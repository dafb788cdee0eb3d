//go:build unix

package folder_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

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

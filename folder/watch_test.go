//go:build unix

package folder_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// watch runs a watcher until the test ends, and takes the first batch from it.
func (g *ground) watch(c folder.WatchConfig) *folder.Watcher {
	g.t.Helper()
	w := g.f.NewWatcher(c)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); w.Run(ctx) }()
	g.t.Cleanup(func() { cancel(); <-over })
	if b := g.next(w); !b.All {
		g.t.Errorf("the first batch is %+v, want All", b)
	}
	return w
}

func (g *ground) next(w *folder.Watcher) folder.Batch {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Second)
	defer cancel()
	b, err := w.Next(ctx)
	if err != nil {
		g.t.Fatalf("no batch: %v", err)
	}
	return b
}

// until takes batches until all of want have been dirty, and returns what else was.
func (g *ground) until(w *folder.Watcher, want ...folder.Dirty) (others []event.Path) {
	g.t.Helper()
	for len(want) > 0 {
		b := g.next(w)
		if b.All {
			g.t.Fatalf("everything is dirty; want %v", want)
		}
		for _, d := range b.Dirty {
			i := slices.Index(want, d)
			if i < 0 {
				others = append(others, d.Path)
				continue
			}
			want = slices.Delete(want, i, i+1)
		}
	}
	return others
}

func at(p event.Path) folder.Dirty    { return folder.Dirty{Path: p} }
func below(p event.Path) folder.Dirty { return folder.Dirty{Path: p, Below: true} }

func TestWatcherNoticesEachChange(t *testing.T) {
	tests := map[string]struct {
		change func(g *ground)
		want   []folder.Dirty
	}{
		"write and close": {func(g *ground) { g.write("d/f", "2") }, []folder.Dirty{at("d/f")}},
		"rename into place": {func(g *ground) {
			g.write("d/t", "2")
			must(g.t, os.Rename(g.path("d/t"), g.path("d/f")))
		}, []folder.Dirty{at("d/t"), at("d/f")}},
		"remove":            {func(g *ground) { must(g.t, os.Remove(g.path("d/f"))) }, []folder.Dirty{at("d/f")}},
		"mode":              {func(g *ground) { must(g.t, os.Chmod(g.path("d/f"), 0o600)) }, []folder.Dirty{at("d/f")}},
		"mode of directory": {func(g *ground) { must(g.t, os.Chmod(g.path("d"), 0o700)) }, []folder.Dirty{at("d")}},
		"symbolic link":     {func(g *ground) { must(g.t, os.Symlink("x", g.path("d/l"))) }, []folder.Dirty{at("d/l")}},
		"hard link":         {func(g *ground) { must(g.t, os.Link(g.path("d/f"), g.path("h"))) }, []folder.Dirty{at("h")}},
		"mkdir":             {func(g *ground) { g.mkdir("n") }, []folder.Dirty{below("n")}},
		"rmdir":             {func(g *ground) { must(g.t, os.Remove(g.path("e"))) }, []folder.Dirty{below("e")}},
		"rename of directory": {
			func(g *ground) { must(g.t, os.Rename(g.path("d"), g.path("e/d"))) },
			[]folder.Dirty{below("d"), below("e/d")},
		},
		"moved out": {func(g *ground) { must(g.t, os.Rename(g.path("d"), g.t.TempDir()+"/d")) }, []folder.Dirty{below("d")}},
		"written and left open": {func(g *ground) {
			f, err := os.OpenFile(g.path("d/f"), os.O_WRONLY|os.O_APPEND, 0)
			must(g.t, err)
			g.t.Cleanup(func() { _ = f.Close() })
			_, err = f.WriteString("more")
			must(g.t, err)
		}, []folder.Dirty{at("d/f")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.write("d/f", "1")
			g.mkdir("e")
			w := g.watch(folder.WatchConfig{})
			tt.change(g)
			g.until(w, tt.want...)
		})
	}
}

func TestWatchesFollowDirectories(t *testing.T) {
	g := newGround(t)
	g.write("a/b/f", "1")
	w := g.watch(folder.WatchConfig{})
	must(t, os.Rename(g.path("a"), g.path("z")))
	g.until(w, below("a"), below("z"))
	g.write("z/b/f", "2")
	if others := g.until(w, at("z/b/f")); len(others) > 0 {
		t.Errorf("also dirty: %q", others)
	}
	g.write("n/m/o/f", "1")
	g.until(w, below("n"))
	for { // a batch for mkdir and write may still be on its way, and be what tells of the edit
		g.write("n/m/o/f", "2")
		if b := g.next(w); slices.Contains(b.Dirty, at("n/m/o/f")) {
			break
		}
	}
	must(t, os.RemoveAll(g.path("z")))
	must(t, os.RemoveAll(g.path("n")))
	g.until(w, below("z"), below("n"))
	for w.Status().Watches != 1 {
		if g.write("tick", ""); w.Status().Watches < 1 {
			t.Fatalf("status %+v", w.Status())
		}
		g.next(w)
	}
}

func TestOwnAndIgnoredDirectoriesAreNotWatched(t *testing.T) {
	g := newGround(t)
	g.write(".meerkatignore", "out/\n*.o\n")
	g.write("out/deep/f", "1")
	g.mkdir("in")
	w := g.watch(folder.WatchConfig{})
	if n := w.Status().Watches; n != 2 { // the root and "in"
		t.Errorf("%d watches, want 2", n)
	}
	g.write(".meerkat/tmp/x", "1")
	g.write("out/deep/f", "2")
	g.write("in/a.o", "1")
	g.mkdir("in/out")
	g.write("in/f", "1")
	if others := g.until(w, at("in/f")); len(others) > 0 {
		t.Errorf("also dirty: %q", others)
	}
	g.write(".meerkatignore", "*.o\n")
	for !g.next(w).All {
	}
	if n := w.Status().Watches; n != 5 {
		t.Errorf("%d watches after the rule was taken back, want 5", n)
	}
	g.write("out/deep/f", "3")
	g.until(w, at("out/deep/f"))
}

func TestWatchLimitIsToldAndRescanned(t *testing.T) {
	g := newGround(t)
	for i := range 10 {
		g.mkdir(fmt.Sprintf("d%d", i))
	}
	w := g.watch(folder.WatchConfig{MaxWatches: 4, Rescan: 20 * time.Millisecond})
	st := w.Status()
	if !w.Degraded() || st.Watches != 4 || st.Unwatched != 7 || st.Reason == "" {
		t.Errorf("status %+v, want degraded with 4 watches, 7 unwatched and a reason", st)
	}
	for range 3 {
		if b := g.next(w); !b.All {
			t.Errorf("batch %+v, want All every 20 ms", b)
		}
	}
	for i := range 9 {
		must(t, os.RemoveAll(g.path(fmt.Sprintf("d%d", i))))
	}
	for w.Degraded() { // there is room again: the next rescan finds out
		g.next(w)
	}
}

func TestLostRootIsFoundAgain(t *testing.T) {
	g := newGround(t)
	g.write("d/f", "1")
	w := g.watch(folder.WatchConfig{Rescan: 10 * time.Millisecond})
	away := g.dir + ".away"
	must(t, os.Rename(g.dir, away))
	for !w.Degraded() {
		g.next(w)
	}
	must(t, os.Rename(away, g.dir))
	for w.Degraded() {
		g.next(w)
	}
	g.write("d/f", "2")
	for b := g.next(w); !slices.Contains(b.Dirty, at("d/f")); b = g.next(w) {
	}
}

// follow lets the index follow the watcher until nothing has been dirty for a while, and returns the number of batches.
func (g *ground) follow(ctx context.Context, w *folder.Watcher) (batches int) {
	for {
		b, err := w.Next(ctx)
		if err != nil {
			return batches
		}
		batches++
		var dirty []folder.Dirty
		if !b.All {
			dirty = b.Dirty
		}
		for len(dirty) > 0 || b.All {
			problems, err := g.f.Scan(ctx, g.ix, dirty, func(s []folder.Seen) error { g.learn(s); return nil }, nil)
			if err != nil {
				return batches
			}
			dirty, b.All = nil, false
			for _, p := range problems {
				dirty = append(dirty, folder.Dirty{Path: p.Path, Below: true})
			}
		}
	}
}

// Whatever is done to a folder, an index that follows the watcher alone ends up with what is there.
func TestIndexThatFollowsTheWatcherMissesNothing(t *testing.T) {
	g := newGround(t)
	w := g.watch(folder.WatchConfig{})
	g.settle()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan int)
	go func() { over <- g.follow(ctx, w) }()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	churn(g, rand.New(rand.NewPCG(seed, 2)))
	g.write("the/last", "one") // when this has arrived, so has all before it
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, ok, _ := g.at("the/last"); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the last change never arrived")
		}
		_ = pauseFor(t, 5*time.Millisecond)
	}
	_ = pauseFor(t, 2*time.Second) // files that rest
	cancel()
	t.Logf("%d batches", <-over)
	g.calm()
	seen, problems := g.scan()
	wantProblems(t, problems)
	wantSeen(t, slices.DeleteFunc(seen, func(s folder.Seen) bool { return s.Only != "" }))
}

// pauseFor waits on a real clock: the kernel's events do not live in a bubble of synctest.
func pauseFor(t *testing.T, d time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
	return ctx.Err()
}

func churn(g *ground, rnd *rand.Rand) {
	names := []string{"a", "b", "c", "d"}
	pick := func() string { return g.path(names[rnd.IntN(4)]) }
	deep := func() string { return filepath.Join(pick(), names[rnd.IntN(4)]) }
	for range 3000 {
		switch rnd.IntN(9) {
		case 0:
			_ = os.MkdirAll(filepath.Join(deep(), "x", "y"), 0o755)
		case 1:
			_ = os.Rename(pick(), pick())
		case 2:
			_ = os.Rename(deep(), deep())
		case 3:
			_ = os.RemoveAll(deep())
		case 4:
			_ = os.Symlink(names[rnd.IntN(4)], deep())
		case 5:
			_ = os.Rename(pick(), filepath.Join(deep(), "m"))
		case 6:
			if rnd.IntN(10) == 0 {
				_ = os.RemoveAll(pick())
			}
		default:
			_ = os.WriteFile(filepath.Join(deep(), "f"), []byte{byte(rnd.IntN(256))}, 0o644)
		}
	}
}

// A whole tree that is made, filled and renamed at once must not slip through between its watches.
func TestTreesMadeAtOnceAreFound(t *testing.T) {
	g := newGround(t)
	w := g.watch(folder.WatchConfig{})
	g.settle()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan int)
	go func() { over <- g.follow(ctx, w) }()
	for i := range 200 {
		g.write(fmt.Sprintf("a%d/b/c/f", i), "x")
		must(t, os.Rename(g.path(fmt.Sprintf("a%d", i)), g.path(fmt.Sprintf("z%d", i))))
	}
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; i < 200; {
		if _, ok, _ := g.at(event.Path(fmt.Sprintf("z%d/b/c/f", i))); ok {
			i++
			continue
		}
		if time.Now().After(deadline) {
			t.Fatalf("z%d/b/c/f never arrived", i)
		}
		_ = pauseFor(t, time.Millisecond)
	}
	cancel()
	<-over
}

// BenchmarkNotice is the time from a save to its delivery.
func BenchmarkNotice(b *testing.B) {
	g := newGround(b)
	g.write("d/f", "1")
	w := g.watch(folder.WatchConfig{})
	var took []time.Duration
	for i := range b.N {
		name := fmt.Sprintf("d/f%d", i)
		start := time.Now()
		g.write(name, "x")
		g.until(w, at(event.Path(name)))
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
}

// bigTree makes dirs directories with files empty files in each.
func bigTree(t testing.TB, root string, dirs, files int) {
	t.Helper()
	for i := range dirs {
		dir := filepath.Join(root, fmt.Sprintf("d%d", i))
		must(t, os.Mkdir(dir, 0o755))
		for j := range files {
			f, err := os.Create(filepath.Join(dir, fmt.Sprintf("f%d", j)))
			must(t, err)
			must(t, f.Close())
		}
	}
}

// BenchmarkWatchSetup watches 20,000 directories.
func BenchmarkWatchSetup(b *testing.B) {
	g := newGround(b)
	bigTree(b, g.dir, 20_000, 0)
	for b.Loop() {
		w := g.f.NewWatcher(folder.WatchConfig{})
		ctx, cancel := context.WithCancel(b.Context())
		over := make(chan struct{})
		go func() { defer close(over); w.Run(ctx) }()
		g.next(w)
		if n := w.Status().Watches; n != 20_001 {
			b.Errorf("%+v", w.Status())
		}
		cancel()
		<-over
	}
}

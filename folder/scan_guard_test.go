//go:build unix

package folder_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

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

// leftovers makes directories d and d/e that the pool has deleted and that stayed for d/e/x.o, which is ignored.
func leftovers(t *testing.T) *ground {
	t.Helper()
	g := newGround(t)
	g.write(".meerkatignore", "*.o\n")
	g.write("d/e/x.o", "object")
	g.settle()
	for _, p := range []event.Path{"d", "d/e"} {
		k := g.rows[p]
		k.Kind, k.Mode = event.Tomb, 0
		g.put(p, k)
	}
	seen, _ := g.scan()
	wantSeen(t, seen)
	return g
}

func TestLeftoverDirectoryThatWasEmptiedMayGo(t *testing.T) {
	g := leftovers(t)
	must(t, os.Remove(g.path("d/e/x.o")))
	want := []string{"d: dir left", "d/e: dir left"}
	seen, _ := g.scan()
	wantSeen(t, seen, want...)
	seen, _ = g.scan(folder.Dirty{Path: "d"})
	wantSeen(t, seen, want...)
	g.write("d/y.o", "object") // now only d/e is of no use
	seen, _ = g.scan()
	wantSeen(t, seen, "d/e: dir left")
}

func TestDirectoryMadeAgainIsNoLeftover(t *testing.T) {
	g := leftovers(t)
	must(t, os.RemoveAll(g.path("d")))
	g.mkdir("d")
	now, _, err := g.f.Lstat("d")
	must(t, err)
	k := g.rows["d"]
	k.Stat.Dev, k.Stat.Ino = now.Dev, now.Ino // as where the file system gives a number away again
	k.Stat.CTime = now.CTime - 1
	g.put("d", k)
	seen, _ := g.scan()
	wantSeen(t, seen, "d: dir")
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

// A folder that was copied to another disk: what the index has on the old one is on the root's disk still.
func TestFolderOnAnotherDeviceIsNotHeld(t *testing.T) {
	const old, sub = 12345, 999
	g := newGround(t)
	g.write("d/f", "1")
	g.write("m/f", "1")
	g.settle()
	for p, k := range g.rows {
		k.Stat.Dev, k.Stat.Ino = old, k.Stat.Ino+1_000_000
		if p == "m" || p == "m/f" {
			k.Stat.Dev = sub
		}
		g.put(p, k)
	}
	g.f.Moved(old)
	seen, problems := g.scan()
	wantSeen(t, seen, "d: dir stat", "d/f: file stat")
	wantProblems(t, problems, "m: sub_mount")
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

// Nothing can be missed where the index has nothing: a disk that is mounted on a directory that was made for it is
// taken up, whether or not the directory was seen before.
func TestAnotherDeviceIsNotHeldWhereNothingWas(t *testing.T) {
	g := newGround(t)
	g.mkdir("m")
	g.settle()
	k := g.rows["m"]
	k.Stat.Dev, k.Stat.Ino = k.Stat.Dev+1, k.Stat.Ino+1_000_000
	g.put("m", k)
	g.put("m/gone", folder.Known{Kind: event.Tomb})
	g.write("m/f", "1")
	seen, problems := g.scan()
	wantSeen(t, seen, "m: dir stat", "m/f: file")
	wantProblems(t, problems)
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

// Whoever asks is told of new rules, whoever else has noticed them before.
func TestEachIsToldOfNewRules(t *testing.T) {
	g := newGround(t)
	changed, _, err := g.f.ReloadIgnore()
	if changed || err != nil {
		t.Errorf("first time: changed %v, error %v", changed, err)
	}
	w := g.watch(folder.WatchConfig{})
	g.write("d/f.o", "1")
	g.settle()
	g.write(".meerkatignore", "*.o\n")
	for !g.next(w).All {
	}
	seen, _ := g.scan(at("nothing"))
	wantSeen(t, seen, ".meerkatignore: file", "d/f.o: ignored")
	for _, want := range []bool{true, false} {
		if changed, _, err = g.f.ReloadIgnore(); changed != want || err != nil {
			t.Errorf("changed %v, error %v; want %v", changed, err, want)
		}
	}
}

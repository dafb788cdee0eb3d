//go:build unix

package folder_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

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

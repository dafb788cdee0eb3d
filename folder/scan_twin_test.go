//go:build unix

package folder_test

import (
	"os"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func TestFilesOfARenamedDirectoryAreNotRead(t *testing.T) {
	tests := map[string]struct {
		after func(g *ground) // the rename of d to n
		read  int64
	}{
		"as they were": {func(*ground) {}, 0},
		"one edited": {func(g *ground) {
			fi, err := os.Stat(g.path("n/s/f"))
			must(g.t, err)
			g.write("n/s/f", "TWO")
			must(g.t, os.Chtimes(g.path("n/s/f"), fi.ModTime(), fi.ModTime()))
		}, 1},
		"one put aside": {func(g *ground) { must(g.t, os.Rename(g.path("n/f"), g.path("aside"))) }, 1},
		"both chmodded": {func(g *ground) {
			must(g.t, os.Chmod(g.path("n/f"), 0o600))
			must(g.t, os.Chmod(g.path("n/s/f"), 0o600))
		}, 2},
		"another made in its place": {func(g *ground) {
			must(g.t, os.Rename(g.path("n/f"), g.path("n/g"))) // its ctime says that it is not as it was
			g.write("n/f", "one")
		}, 2},
		"not trusted": {func(g *ground) {
			for _, p := range []event.Path{"d/f", "d/s/f"} {
				k := g.rows[p]
				k.Racy = true
				g.put(p, k)
			}
		}, 2},
		"chunks forgotten": {func(g *ground) {
			g.ix.Manifest = func(chunker.ID) (chunker.Manifest, bool, error) { return chunker.Manifest{}, false, nil }
		}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.write("d/f", "one")
			g.write("d/s/f", "two")
			seen, _ := g.scan()
			g.learn(seen)
			g.calm()
			byRoot := map[chunker.ID]chunker.Manifest{}
			for _, s := range seen {
				byRoot[s.Value.Root] = s.Manifest
			}
			g.ix.Manifest = func(root chunker.ID) (chunker.Manifest, bool, error) { m, ok := byRoot[root]; return m, ok, nil }
			must(t, os.Rename(g.path("d"), g.path("n")))
			tt.after(g)
			seen, read := g.scanCounting(folder.Dirty{Path: "n", Below: true}, folder.Dirty{Path: "d"}, folder.Dirty{Path: "aside"})
			if read != tt.read {
				t.Errorf("%d files were read, want %d", read, tt.read)
			}
			wantAsRead(t, g, seen)
		})
	}
}

// scanCounting is scan with the number of files that were read.
func (g *ground) scanCounting(dirty ...folder.Dirty) (all []folder.Seen, read int64) {
	g.t.Helper()
	_, err := g.f.Scan(g.t.Context(), g.ix, dirty, func(s []folder.Seen) error { all = append(all, s...); return nil },
		func(p folder.Progress) { read = p.Hashed })
	must(g.t, err)
	return all, read
}

// wantAsRead compares what was seen of files with what their bytes say.
func wantAsRead(t *testing.T, g *ground, seen []folder.Seen) {
	t.Helper()
	files := 0
	for _, s := range seen {
		if s.Value.Kind != event.File {
			continue
		}
		files++
		f, err := os.Open(g.path(string(s.Path)))
		must(t, err)
		defer f.Close()
		m, err := chunker.Cut(t.Context(), f, s.Stat.Size, s.Value.Class, 1)
		must(t, err)
		if s.Value.Root != m.Root() || s.Manifest.Root() != m.Root() || s.Value.Size != s.Stat.Size || len(s.Value.Chunks) != 1 {
			t.Errorf("%s: seen %+v, its bytes have the root %v", s.Path, s, m.Root())
		}
	}
	if files < 2 {
		t.Errorf("seen %v: the files are not there", brief(seen))
	}
}

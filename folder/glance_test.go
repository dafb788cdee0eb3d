//go:build unix

package folder_test

import (
	"os"
	"testing"

	"github.com/bwaklog/meerkat/event"
)

// A glance tells of plain files that changed, and of nothing else: what is gone, new directories, links, what is ignored, what
// is large, and what stands in a directory that is another one by now is left to the scan.
func TestGlanceSeesPlainFilesAlone(t *testing.T) {
	g := newGround(t)
	g.write("d/old", "1")
	g.write("d/same", "1")
	g.write("gone", "1")
	g.write("other/f", "1")
	g.write(".meerkatignore", "*.o\n")
	seen, _ := g.scan()
	g.learn(seen)
	g.calm()
	g.write("d/old", "another")
	g.write("new", "1")
	g.write("fresh/f", "1")
	g.write("x.o", "1")
	g.write("large", "12345678901")
	must(t, os.Remove(g.path("gone")))
	must(t, os.Symlink("new", g.path("link")))
	must(t, os.Rename(g.path("other"), g.path("was")))
	g.write("other/f", "another")
	paths := []event.Path{"d/old", "d/same", "new", "fresh", "fresh/f", "x.o", "large", "gone", "link", "other/f", "absent", "../x"}
	seen, err := g.f.Glance(t.Context(), g.ix, paths, 10)
	must(t, err)
	wantSeen(t, seen, "d/old: file", "new: file")
	g.learn(seen)
	again, err := g.f.Glance(t.Context(), g.ix, paths, 10)
	must(t, err)
	wantSeen(t, again)
}

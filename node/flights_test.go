package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

func stepOf(path string, size int64) folder.Step {
	root := chunker.Sum([]byte(path))
	return folder.Step{Path: event.Path(path), Want: event.Value{Kind: event.File, Root: root, Size: size}}
}

func pathsOf(l *flight) (out []event.Path) {
	if l == nil {
		return nil
	}
	for _, s := range l.steps {
		out = append(out, s.Path)
	}
	return out
}

// What somebody saves while a big file of theirs is on its way comes at once.
func TestASmallFileFliesBesideABigOne(t *testing.T) {
	var f flights
	const ana, bob = peer.ID("ana"), peer.ID("bob")
	big := f.begin(ana, []folder.Step{stepOf("big", 1<<30)}, nil, quickLane)
	if !slices.Equal(pathsOf(big), []event.Path{"big"}) || big.lane.kind != wholeLane {
		t.Fatalf("begin(big) = %+v", big)
	}
	views := map[event.Path]event.View{"old": {HLC: 1}, "new": {HLC: 9}, "huge": {HLC: 10}}
	note := f.begin(ana, []folder.Step{stepOf("old", quickBytes/2+1), stepOf("huge", 1<<30), stepOf("new", quickFile)}, views, quickLane)
	if !slices.Equal(pathsOf(note), []event.Path{"new"}) {
		t.Errorf("beside the big one flies %v, want the newest that is little", pathsOf(note))
	}
	if l := f.begin(ana, []folder.Step{stepOf("more", 1)}, nil, quickLane); l != nil {
		t.Errorf("a second quick fetch of one author began: %v", pathsOf(l))
	}
	if l := f.begin(ana, []folder.Step{stepOf("told", 1)}, nil, freshLane); l == nil || l.lane.kind != freshLane {
		t.Errorf("what is news waits: %+v", l)
	}
	if l := f.begin(bob, []folder.Step{stepOf("his", 1<<30)}, nil, quickLane); l == nil {
		t.Error("another author's content waits")
	}
	f.end(note)
	if f.on("new") || !f.on("big") {
		t.Error("what has landed is still on its way, or what is on its way is not")
	}
	if l := f.begin(ana, []folder.Step{stepOf("more", 1)}, nil, quickLane); l == nil || l.lane.kind != quickLane {
		t.Error("nothing more comes while the big one does")
	}
}

// A content that is on its way for one path does not come a second time for another.
func TestAContentFliesOnce(t *testing.T) {
	var f flights
	first := f.begin("ana", []folder.Step{stepOf("one", 1<<20)}, nil, quickLane)
	twin := stepOf("one", 1<<20)
	twin.Path = "two"
	if l := f.begin("bob", []folder.Step{twin}, nil, freshLane); l != nil {
		t.Errorf("it came a second time: %v", pathsOf(l))
	}
	f.end(first)
	if l := f.begin("bob", []folder.Step{twin}, nil, freshLane); l == nil {
		t.Error("it comes no more")
	}
}

func TestTheQuickFlightIsShort(t *testing.T) {
	var steps []folder.Step
	for i := range 2 * quickFiles {
		steps = append(steps, stepOf(fmt.Sprint(i), 1))
	}
	if got := len(latest(steps, nil)); got != quickFiles {
		t.Errorf("%d files fly at once, want %d", got, quickFiles)
	}
}

func leavesAt(paths ...string) (out []event.Leaf) {
	for _, p := range paths {
		v := event.Value{Kind: event.File, Size: 1}
		out = append(out, event.Leaf{Raw: []byte{1}, Event: event.Event{Path: event.Path(p), Value: v}})
	}
	return out
}

// flood is a segment of n new files in a directory.
func flood(dir string, n int) (paths []string) {
	for i := range n {
		paths = append(paths, fmt.Sprintf("%s/f%d", dir, i))
	}
	return paths
}

func TestWhatSomebodySavedIsNews(t *testing.T) {
	for _, c := range []struct {
		name string
		came [][]string // segments
		want []string
	}{
		{"a few, each once, directories first", [][]string{{"d/f", "d", "d/f"}}, []string{"d", "d/f"}},
		{"one beside a flood that came with it", [][]string{flood("d", 100), {"note"}, flood("e", 100)}, []string{"note"}},
		{"one in a segment of a flood", [][]string{append(flood("d", 100), "note")}, []string{"note"}},
		{"a directory of a flood", [][]string{append(flood("d", 100), "d", "e", "e/f")}, []string{"d", "e"}},
		{"two in one place", [][]string{append(flood("d", 100), "e/f", "e/g")}, []string{"e/f", "e/g"}},
	} {
		var n news
		var segs []event.Segment
		var want []event.Path
		for _, s := range c.came {
			segs = append(segs, event.Segment{Leaves: leavesAt(s...)})
		}
		for _, p := range c.want {
			want = append(want, event.Path(p))
		}
		n.add(segs)
		if got := n.take(); !slices.Equal(got, want) {
			t.Errorf("%s: news are %q, want %q", c.name, got, want)
		}
		if n.some() {
			t.Error("news stay after they were taken")
		}
	}
}

// What goes in a flood may come again elsewhere in it, and is planned with that.
func TestARemovalInAFloodIsNoNews(t *testing.T) {
	gone := event.Leaf{Raw: []byte{1}, Event: event.Event{Path: "old"}}
	var n news
	n.add([]event.Segment{{Leaves: append(leavesAt(flood("d", 100)...), gone)}, {Leaves: []event.Leaf{gone}}})
	if got, want := n.take(), []event.Path{"old"}; !slices.Equal(got, want) {
		t.Errorf("news are %q, want %q: told by itself it is", got, want)
	}
	n.add([]event.Segment{{Leaves: append(leavesAt(flood("d", 100)...), gone)}})
	if n.some() {
		t.Errorf("news are %q, want none", n.take())
	}
}

func TestNewsAreTheNewest(t *testing.T) {
	var n news
	for i := range 2 * newsMost {
		n.addPaths([]event.Path{event.Path(fmt.Sprintf("%04d", i))})
	}
	if got := n.take(); len(got) != newsMost || got[0] != event.Path(fmt.Sprintf("%04d", newsMost)) {
		t.Errorf("%d are news, from %q on; want the last %d", len(got), got[0], newsMost)
	}
}

// While a long scan runs and very much becomes due, a file that is saved somewhere else is looked at.
func TestASaveIsFoundAmongWhatIsDue(t *testing.T) {
	r := &replica{scanning: true, dirty: map[event.Path]bool{"note": false}}
	for _, p := range flood("d", 1000) {
		r.dirty[event.Path(p)] = false
	}
	if got, want := r.savedMeanwhile(), []event.Path{"note"}; !slices.Equal(got, want) {
		t.Errorf("looked at are %q, want %q", got, want)
	}
}

// What was brought before its turn is not done a second time by the round that had planned it.
func TestARoundLeavesOutWhatWasBroughtMeanwhile(t *testing.T) {
	o := order{views: map[event.Path]event.View{"a": {}, "b": {}}, wants: []folder.Want{{Path: "a"}, {Path: "b"}}}
	o.overtaken([]event.Path{"b", "other"}, 2)
	if len(o.wants) != 1 || o.wants[0].Path != "a" || o.rushed != 2 {
		t.Errorf("wants %+v and %d done, want a alone and 2", o.wants, o.rushed)
	}
	if got := o.still([]folder.Step{stepOf("a", 1), stepOf("b", 1)}); len(got) != 1 || got[0].Path != "a" {
		t.Errorf("steps are %+v, want that of a", got)
	}
}

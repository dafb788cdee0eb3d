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

func TestNewsAreFew(t *testing.T) {
	var n news
	n.add([]event.Path{"d/f", "d", "d/f"})
	n.add(make([]event.Path, newsMost))
	if got, want := n.take(), []event.Path{"d", "d/f"}; !slices.Equal(got, want) {
		t.Errorf("take = %q, want %q: a flood is no news", got, want)
	}
	if n.some() {
		t.Error("news stay after they were taken")
	}
}

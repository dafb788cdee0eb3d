package node

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// A member that has been met again may have been met by others first, and what
// it wrote meanwhile may have come through them: it still is the other side's.
func TestReunionCountsWhatCameThroughAnother(t *testing.T) {
	self, friend, other := event.Writer{Node: someID(t)}, event.Writer{Node: someID(t)}, event.Writer{Node: someID(t)}
	start := time.Unix(1_800_000_000, 0)
	b := &parted{away: map[peer.ID]absence{other.Node: {since: start, knew: event.Vector{self: 1, other: 1}}}}
	for s := range 45 {
		heads := event.Vector{self: 1, friend: 1, other: 1}
		if s > 0 {
			heads[self], heads[friend] = 6, 5 // changes of the time apart, on this side
		}
		if s > 42 {
			heads[other] = 7 // through the friend, before our own link stands
		}
		b.note(start.Add(time.Duration(s)*time.Second), heads)
	}
	b.meet(other.Node, "other", b.away[other.Node], start.Add(45*time.Second))
	if got, want := b.now.mine, (event.Vector{self: 6, friend: 5, other: 1}); !got.Equal(want) {
		t.Errorf("this side knew %v, want %v", got, want)
	}
	if n := len(b.past); n > int(reunionLag/time.Second)+2 {
		t.Errorf("%d moments are kept", n)
	}
}

// Where members know each other through others all along, a new link between
// them is no reunion: nothing has been missed.
func TestReunionOfMembersThatHeardOfEachOther(t *testing.T) {
	self, other := event.Writer{Node: someID(t)}, event.Writer{Node: someID(t)}
	start := time.Unix(1_800_000_000, 0)
	b := &parted{away: map[peer.ID]absence{other.Node: {since: start, knew: event.Vector{self: 1, other: 1}}}}
	for s := range 60 {
		heads := event.Vector{self: 2, other: 1}
		if s > 10 {
			heads[other] = 4
		}
		b.note(start.Add(time.Duration(s)*time.Second), heads)
	}
	b.meet(other.Node, "other", b.away[other.Node], start.Add(60*time.Second))
	if got := b.now.mine[other]; got != 4 {
		t.Errorf("this side knew %d changes of the other, want 4", got)
	}
}

// Who had said nothing yet, or knew nothing, when it went, comes back like anybody else.
func TestReunionWithOneWhoKnewNothing(t *testing.T) {
	one, two := event.Writer{Node: someID(t)}, event.Writer{Node: someID(t)}
	start := time.Unix(1_800_000_000, 0)
	b := &parted{away: map[peer.ID]absence{one.Node: {since: start}, two.Node: {since: start, knew: event.Vector{two: 3}}}}
	b.note(start, nil)
	b.meet(one.Node, "one", b.away[one.Node], start.Add(time.Minute))
	b.meet(two.Node, "two", b.away[two.Node], start.Add(time.Minute))
	if got, want := b.now.knew, (event.Vector{two: 3}); !got.Equal(want) {
		t.Errorf("they knew %v, want %v", got, want)
	}
}

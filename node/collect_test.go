package node

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

func TestTheLimitOfAgeMovesByDays(t *testing.T) {
	b := Burial{}.withDefaults()
	morning := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	evening := morning.Add(22 * time.Hour)
	want := time.Date(2026, 10, 23, 0, 0, 0, 0, time.UTC)
	if x, y := b.before(morning), b.before(evening); !x.Equal(want) || !y.Equal(want) {
		t.Errorf("limits of one day are %v and %v, want %v", x, y, want)
	}
	later := evening.Add(b.next(evening))
	if got := b.before(later); !got.Equal(want.Add(day)) {
		t.Errorf("the limit after the next look is %v, want a day later", got)
	}
}

func TestWhatAMemberLacksIsNotKnownToAll(t *testing.T) {
	w := func(n string) event.Writer { return event.Writer{Node: peer.ID(n), Epoch: 1} }
	v := event.Vector{w("a"): 5, w("b"): 7, w("c"): 1}
	meet(v, &report{Heads: map[event.Writer]uint64{w("a"): 3, w("b"): 9, w("d"): 4}})
	if want := (event.Vector{w("a"): 3, w("b"): 7}); !v.Equal(want) {
		t.Errorf("known to all: %v, want %v", v, want)
	}
}

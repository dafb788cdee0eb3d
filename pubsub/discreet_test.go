package pubsub

import (
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

// What strangers sign about themselves is nothing for GossipSub to keep; who
// came and went is.
func TestDiscreetHostHidesSignedAddresses(t *testing.T) {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	bus := discreet{h}.EventBus()
	sub, err := bus.Subscribe([]any{new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerConnectednessChanged)})
	if err != nil {
		t.Fatal(err)
	}
	say := func(kind, e any) {
		t.Helper()
		em, err := h.EventBus().Emitter(kind)
		if err == nil {
			err = em.Emit(e)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = em.Close() // it has said all
	}
	who := peer.ID("somebody")
	say(new(event.EvtPeerIdentificationCompleted), event.EvtPeerIdentificationCompleted{Peer: who, SignedPeerRecord: &record.Envelope{}})
	say(new(event.EvtPeerConnectednessChanged), event.EvtPeerConnectednessChanged{Peer: who})
	first, ok := (<-sub.Out()).(event.EvtPeerIdentificationCompleted)
	if !ok || first.Peer != who || first.SignedPeerRecord != nil {
		t.Errorf("got %+v, want the same without the signed record", first)
	}
	if second, ok := (<-sub.Out()).(event.EvtPeerConnectednessChanged); !ok || second.Peer != who {
		t.Errorf("got %+v, want it unchanged", second)
	}
	for range 2 {
		if err := sub.Close(); err != nil {
			t.Error(err)
		}
	}
	if e, open := <-sub.Out(); open {
		t.Errorf("%v after Close", e)
	}
}

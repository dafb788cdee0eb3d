package pubsub

import (
	"context"
	"fmt"

	coreevent "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
)

// watcher hears of peers that come and go.
type watcher struct {
	f   *Feed
	sub coreevent.Subscription
}

func watch(f *Feed) (*watcher, error) {
	sub, err := f.host.EventBus().Subscribe([]any{
		new(coreevent.EvtPeerIdentificationCompleted), new(coreevent.EvtPeerConnectednessChanged),
	})
	if err != nil {
		return nil, fmt.Errorf("watch connections: %w", err)
	}
	return &watcher{f, sub}, nil
}

func (w *watcher) run(ctx context.Context) {
	defer func() { _ = w.sub.Close() }() // nothing is lost by it
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.sub.Out():
			w.heed(e)
		}
	}
}

func (w *watcher) heed(e any) {
	switch e := e.(type) {
	case coreevent.EvtPeerIdentificationCompleted:
		for _, r := range w.f.all() {
			r.arrived(e.Peer)
		}
	case coreevent.EvtPeerConnectednessChanged:
		if e.Connectedness != network.NotConnected {
			return
		}
		w.f.gate.gone(e.Peer)
		for _, r := range w.f.all() {
			r.departed(e.Peer)
		}
	}
}

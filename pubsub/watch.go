package pubsub

import (
	"context"
	"fmt"
	"time"

	coreevent "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// watcher hears of peers that come and go.
type watcher struct {
	f   *Feed
	sub coreevent.Subscription
	net *network.NotifyBundle
}

func watch(f *Feed) (*watcher, error) {
	sub, err := f.host.EventBus().Subscribe([]any{
		new(coreevent.EvtPeerIdentificationCompleted), new(coreevent.EvtPeerConnectednessChanged),
	})
	if err != nil {
		return nil, fmt.Errorf("watch connections: %w", err)
	}
	net := &network.NotifyBundle{DisconnectedF: func(n network.Network, c network.Conn) {
		if n.Connectedness(c.RemotePeer()) == network.Connected {
			f.thinned(c.RemotePeer())
		}
	}}
	f.host.Network().Notify(net)
	return &watcher{f, sub, net}, nil
}

func (w *watcher) run(ctx context.Context) {
	defer func() { _ = w.sub.Close() }() // nothing is lost by it
	defer w.f.host.Network().StopNotify(w.net)
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.sub.Out():
			w.heed(e)
		}
	}
}

// thinned is called when a connection to p has gone and another remains: what was under way on it is lost, and GossipSub may
// forget what p announced on the other.
func (f *Feed) thinned(p peer.ID) {
	for _, r := range f.all() {
		r.arrived(p)
	}
	time.AfterFunc(quiet, f.doubtMesh) // when GossipSub has found out too
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

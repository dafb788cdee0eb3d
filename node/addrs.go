package node

import (
	"context"
	"fmt"

	libevent "github.com/libp2p/go-libp2p/core/event"
)

// tellAddrs reports to members when the addresses of this node change: one that
// leads through a relay comes seconds after the start, and who waits for it
// behind a router of its own has no other way to learn of it. It runs until
// ctx ends.
func (n *Node) tellAddrs(ctx context.Context) error {
	sub, err := n.host.EventBus().Subscribe(new(libevent.EvtLocalAddressesUpdated))
	if err != nil {
		return fmt.Errorf("hear of own addresses: %w", err)
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sub.Out():
		}
		for _, r := range n.all() {
			r.reportNow.poke()
		}
	}
}

package pubsub

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
)

// discreet is a host that does not show GossipSub the signed addresses of those
// who are linked. It would keep them for a quarter of an hour, of every stranger
// that comes by, for an exchange of peers that is not used here.
type discreet struct{ host.Host }

// EventBus is the host's, without these addresses.
func (d discreet) EventBus() event.Bus { return discreetBus{d.Host.EventBus()} }

type discreetBus struct{ event.Bus }

// Subscribe is the bus's own; the subscription must be closed.
func (b discreetBus) Subscribe(types any, opts ...event.SubscriptionOpt) (event.Subscription, error) {
	s, err := b.Bus.Subscribe(types, opts...)
	if err != nil {
		return nil, err
	}
	d := &discreetSub{Subscription: s, out: make(chan any), quit: make(chan struct{})}
	d.done.Go(d.pump)
	return d, nil
}

// discreetSub passes events on.
type discreetSub struct {
	event.Subscription
	out  chan any
	quit chan struct{}
	once sync.Once
	done sync.WaitGroup
}

// Out gives the events until the subscription is closed.
func (d *discreetSub) Out() <-chan any { return d.out }

// Close ends the subscription. It may be called twice.
func (d *discreetSub) Close() error {
	d.once.Do(func() { close(d.quit) })
	err := d.Subscription.Close()
	d.done.Wait()
	return err
}

func (d *discreetSub) pump() {
	defer close(d.out)
	for e := range d.Subscription.Out() {
		if known, ok := e.(event.EvtPeerIdentificationCompleted); ok {
			known.SignedPeerRecord = nil
			e = known
		}
		select {
		case d.out <- e:
		case <-d.quit:
			return
		}
	}
}

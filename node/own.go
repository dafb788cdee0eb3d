package node

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const ownFresh = time.Second

// ownAddrs keeps a host's list of its own addresses true while the machine
// moves from network to network. libp2p looks at the interfaces once a minute:
// so long it would tell everybody addresses that are gone, and not tell those
// that are there.
type ownAddrs struct {
	mu     sync.Mutex
	listen func() []ma.Multiaddr // nil until the host is made
	looked time.Time
	own    []ma.Multiaddr // of the interfaces
	have   map[netip.Addr]bool
	had    map[netip.Addr]bool // of this machine's, now or earlier
}

func newOwnAddrs() *ownAddrs { return &ownAddrs{had: map[netip.Addr]bool{}} }

// Correct drops from addrs what the machine had and has no longer, and adds
// what it has got. The result is the caller's.
func (o *ownAddrs) Correct(addrs []ma.Multiaddr) []ma.Multiaddr {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lookLocked(time.Now())
	out := o.listenLocked()
	for _, a := range addrs {
		ap, ok := addrPort(a)
		if isRelayed(a) || !ok || !o.had[ap.Addr()] || o.have[ap.Addr()] {
			out = append(out, a)
		}
	}
	return ma.Unique(out)
}

func (o *ownAddrs) lookLocked(now time.Time) {
	if o.listen == nil || now.Sub(o.looked) < ownFresh {
		return
	}
	own, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return // what is known stands
	}
	o.looked = now
	own = slices.DeleteFunc(own, manet.IsIP6LinkLocal)
	o.have = map[netip.Addr]bool{}
	for _, a := range own {
		if ap, ok := addrPort(a); ok {
			o.have[ap.Addr()], o.had[ap.Addr()] = true, true
		}
	}
	o.own = own
}

// listenLocked is where the host listens, on addresses that are there.
func (o *ownAddrs) listenLocked() []ma.Multiaddr {
	if o.listen == nil {
		return nil
	}
	listen := slices.DeleteFunc(o.listen(), func(a ma.Multiaddr) bool { return transportOf(a) == "" || isRelayed(a) })
	all, err := manet.ResolveUnspecifiedAddresses(listen, o.own)
	if err != nil {
		return nil // addrs of libp2p have to do
	}
	return all
}

// of makes o speak for h.
func (o *ownAddrs) of(h host.Host) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listen = h.Network().ListenAddresses
}

// refreshAddrs has libp2p look at the interfaces now: it does so when a
// listener comes or goes.
func refreshAddrs(h host.Host) {
	a, err := ma.NewMultiaddr("/ip4/127.0.0.1/tcp/0")
	if err != nil || len(h.Network().ListenAddresses()) == 0 {
		return
	}
	before := h.Network().ListenAddresses()
	if err := h.Network().Listen(a); err != nil {
		return // within a minute libp2p looks by itself
	}
	for _, now := range h.Network().ListenAddresses() {
		if manet.IsIPLoopback(now) && !ma.Contains(before, now) {
			h.Network().(interface{ ListenClose(...ma.Multiaddr) }).ListenClose(now)
		}
	}
}

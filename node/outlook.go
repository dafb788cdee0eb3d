package node

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	libevent "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"
)

const (
	sightingTTL  = 30 * time.Minute
	maxSightings = 64
	maxPunch     = 6 // addresses offered to a peer for a hole punch
)

// outlook is how the world sees this node: whether strangers can reach it, and
// from which public addresses its packets come. What others say of it is
// believed only so far that it is tried.
type outlook struct {
	host   host.Host
	log    *slog.Logger
	public bool // taken for reachable from the start
	news   nudge
	moved  nudge // this machine's network changed

	mu    sync.Mutex
	reach network.Reachability
	seen  map[sighter]sighting
	asked map[sighter]time.Time // when a glimpse was taken
	blind bool                  // the newest glimpse over QUIC failed
	own   bool                  // this machine had a public IPv4 address
	ownAt time.Time             // when that was looked up
}

// sighter is who saw this node, and over which transport.
type sighter struct {
	by        peer.ID
	transport string
}

// sighting is the public address that this node's packets came from.
type sighting struct {
	addr ma.Multiaddr
	port int // of the local socket they left by
	at   time.Time
}

func newOutlook(h host.Host, log *slog.Logger, public bool) *outlook {
	o := &outlook{
		host: h, log: log, public: public, news: newNudge(), moved: newNudge(),
		seen: map[sighter]sighting{}, asked: map[sighter]time.Time{},
	}
	if public {
		o.reach = network.ReachabilityPublic
	}
	return o
}

// Run listens to what peers and AutoNAT say until ctx ends.
func (o *outlook) Run(ctx context.Context) error {
	sub, err := o.host.EventBus().Subscribe([]any{
		new(libevent.EvtPeerIdentificationCompleted), new(libevent.EvtLocalReachabilityChanged),
	}, eventbus.Name("meerkat outlook"), eventbus.BufSize(64))
	if err != nil {
		return err
	}
	defer sub.Close()
	g := &errgroup.Group{}
	g.SetLimit(maxGlimpses)
	for {
		select {
		case <-ctx.Done():
			return g.Wait()
		case e, ok := <-sub.Out():
			if !ok {
				return g.Wait()
			}
			o.take(ctx, g, e)
		case <-o.moved.c:
			for _, p := range o.host.Network().Peers() {
				o.glance(ctx, g, p, o.host.Peerstore().Addrs(p))
			}
		}
	}
}

// glance takes the glimpses at p that are missing.
func (o *outlook) glance(ctx context.Context, g *errgroup.Group, p peer.ID, addrs []ma.Multiaddr) {
	if more := o.missing(p, addrs); len(more) > 0 {
		g.TryGo(func() error { o.look(ctx, p, more); return nil })
	}
}

func (o *outlook) take(ctx context.Context, g *errgroup.Group, e any) {
	switch e := e.(type) {
	case libevent.EvtLocalReachabilityChanged:
		o.mu.Lock()
		o.reach = e.Reachability
		o.mu.Unlock()
	case libevent.EvtPeerIdentificationCompleted:
		o.sight(e.Conn, e.ObservedAddr)
		o.glance(ctx, g, e.Peer, e.ListenAddrs)
	}
	o.news.poke()
}

// sight notes where a peer says that a link to it comes from.
func (o *outlook) sight(c network.Conn, seen ma.Multiaddr) {
	if seen != nil && c != nil && !isRelayed(c.RemoteMultiaddr()) {
		o.note(c.RemotePeer(), c.LocalMultiaddr(), seen)
	}
}

// note keeps a sighting. It counts only for a connection that leaves by a
// listening socket: elsewhere the router would give another port.
func (o *outlook) note(by peer.ID, local, seen ma.Multiaddr) {
	t, port := transportOf(local), portOf(local)
	if !manet.IsPublicAddr(seen) || t == "" || t != transportOf(seen) || !o.listens(t, port) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgetLocked(time.Now())
	o.seen[sighter{by, t}] = sighting{addr: seen, port: port, at: time.Now()}
}

func (o *outlook) forgetLocked(now time.Time) {
	for k, s := range o.seen {
		if now.Sub(s.at) > sightingTTL || len(o.seen) >= maxSightings {
			delete(o.seen, k)
		}
	}
	for k, at := range o.asked {
		if now.Sub(at) > glimpseAgain {
			delete(o.asked, k)
		}
	}
}

func (o *outlook) listens(transport string, port int) bool {
	return slices.ContainsFunc(o.host.Network().ListenAddresses(), func(a ma.Multiaddr) bool {
		return transportOf(a) == transport && portOf(a) == port
	})
}

func (o *outlook) listensTo(transport string) bool {
	return slices.ContainsFunc(o.host.Network().ListenAddresses(), func(a ma.Multiaddr) bool {
		return transportOf(a) == transport && !isRelayed(a)
	})
}

// Forget drops all sightings, and looks anew: this machine has other addresses
// now. A QUIC link may have survived that, so nobody would tell by himself.
func (o *outlook) Forget() {
	o.mu.Lock()
	clear(o.seen)
	clear(o.asked)
	o.mu.Unlock()
	o.moved.poke()
}

// PunchAddrs are the public addresses that a peer behind another router may
// aim at, the newest first.
func (o *outlook) PunchAddrs() []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range o.host.Addrs() {
		if !isRelayed(a) && manet.IsPublicAddr(a) {
			out = append(out, a)
		}
	}
	for _, s := range o.sightings() {
		out = append(out, s.addr)
	}
	out = ma.Unique(out)
	return out[:min(len(out), maxPunch)]
}

// sightings lists what is known, newest first.
func (o *outlook) sightings() []sighting {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]sighting, 0, len(o.seen))
	for _, s := range o.seen {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b sighting) int { return b.at.Compare(a.at) })
	return out
}

// Public reports whether strangers can probably reach this node directly: it
// was told so, AutoNAT says so, or it has a public IPv4 address of its own and
// AutoNAT says nothing else. (A public IPv6 address says little: most routers
// let nothing in.)
func (o *outlook) Public() bool {
	o.mu.Lock()
	reach := o.reach
	o.mu.Unlock()
	switch {
	case o.public || reach == network.ReachabilityPublic:
		return true
	case reach == network.ReachabilityPrivate:
		return false
	}
	return o.ownPublic()
}

// ownPublic is hasPublicIPv4, looked up as often as the network is watched:
// many ask, and each look asks the kernel.
func (o *outlook) ownPublic() bool {
	o.mu.Lock()
	own, known := o.own, !o.ownAt.IsZero() && time.Since(o.ownAt) < networkPoll
	o.mu.Unlock()
	if known {
		return own
	}
	own = hasPublicIPv4()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.own, o.ownAt = own, time.Now()
	return own
}

// Reachability is "public", "private" or "unknown".
func (o *outlook) Reachability() string {
	o.mu.Lock()
	reach := o.reach
	o.mu.Unlock()
	switch {
	case o.Public():
		return "public"
	case reach == network.ReachabilityPrivate || len(o.sightings()) > 0:
		return "private" // seen at a public address that is not its own
	}
	return "unknown"
}

// NAT kinds.
const (
	natNone      = "none"
	natEasy      = "easy"      // one outside port for all destinations
	natSymmetric = "symmetric" // another outside port for each destination
	natUnknown   = "unknown"
)

// NAT says what the router in front of this node does with ports. It takes two
// observers to tell.
func (o *outlook) NAT() string {
	if o.Public() {
		return natNone
	}
	first := map[string]netip.AddrPort{}
	kind := natUnknown
	for _, s := range o.sightings() {
		t := transportOf(s.addr)
		ap, ok := addrPort(s.addr)
		if !ok || ap.Addr().Is6() {
			continue
		}
		if was, known := first[t]; !known {
			first[t] = ap
		} else if was != ap {
			return natSymmetric
		} else {
			kind = natEasy
		}
	}
	return kind
}

// quicFails reports whether QUIC came to nothing where TCP did not.
func (o *outlook) quicFails() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.blind
}

// remapped reports whether the router let packets out by another port than
// they came from here.
func (o *outlook) remapped() bool {
	return slices.ContainsFunc(o.sightings(), func(s sighting) bool { return portOf(s.addr) != s.port })
}

// hasPublicIPv4 reports whether one of this machine's own addresses is public.
func hasPublicIPv4() bool {
	for _, s := range localAddrs() {
		p, err := netip.ParsePrefix(s)
		if err != nil || !p.Addr().Is4() {
			continue
		}
		if a, err := ma.NewMultiaddr("/ip4/" + p.Addr().String()); err == nil && manet.IsPublicAddr(a) {
			return true
		}
	}
	return false
}

// addrPort is the IP address and port of a direct address.
func addrPort(a ma.Multiaddr) (netip.AddrPort, bool) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.AddrPort{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), uint16(portOf(a))), ok
}

package node

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	libevent "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	maxRelays     = 3
	maxRelayAddrs = 4 // of one relay
	reserveWait   = 10 * time.Second
	reserveTick   = 500 * time.Millisecond
	reserveAgain  = 5 * time.Second
	reserveMost   = time.Minute
	renewBefore   = 10 * time.Minute
)

// berths keeps reservations on relays, so that others reach this node although
// strangers cannot: on fellow members that relay first, and on other nodes that
// it is linked to. It holds none while this node is reachable itself. Unlike
// libp2p's AutoRelay it does not wait for AutoNAT's verdict, and it takes a
// relay back the moment that a link to it stands again.
type berths struct {
	host   host.Host
	log    *slog.Logger
	idle   func() bool // no reservation is needed
	fellow func(peer.ID) bool

	mu    sync.Mutex
	held  map[peer.ID]berth
	tries map[peer.ID]*try
}

// berth is a reservation; it ends with the connection it was made on.
type berth struct {
	conn    network.Conn
	addrs   []ma.Multiaddr
	until   time.Time
	limited bool
}

func newBerths(h host.Host, log *slog.Logger, idle func() bool, fellow func(peer.ID) bool) *berths {
	return &berths{
		host: h, log: log, idle: idle, fellow: fellow,
		held: map[peer.ID]berth{}, tries: map[peer.ID]*try{},
	}
}

// Run reserves until ctx ends.
func (b *berths) Run(ctx context.Context) error {
	tell, err := b.host.EventBus().Emitter(new(libevent.EvtAutoRelayAddrsUpdated), eventbus.Stateful)
	if err != nil {
		return err
	}
	defer tell.Close()
	var told []ma.Multiaddr
	for {
		b.drop()
		b.reserveDue(ctx)
		if now := b.Addrs(); !slices.EqualFunc(now, told, ma.Multiaddr.Equal) {
			told = now
			if err := tell.Emit(libevent.EvtAutoRelayAddrsUpdated{RelayAddrs: slices.Clone(now)}); err != nil {
				b.log.Warn("tell relay addresses", "err", err)
			}
		}
		if !sleep(ctx, reserveTick) {
			return nil
		}
	}
}

// Addrs are the addresses of this node through its relays, sorted.
func (b *berths) Addrs() []ma.Multiaddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []ma.Multiaddr
	for _, x := range b.held {
		out = append(out, x.addrs...)
	}
	slices.SortFunc(out, ma.Multiaddr.Compare)
	return out
}

// Relays tells which relays hold a place for this node; true: only for a few
// kilobytes.
func (b *berths) Relays() map[peer.ID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[peer.ID]bool{}
	for p, x := range b.held {
		out[p] = x.limited
	}
	return out
}

// drop forgets reservations that are void.
func (b *berths) drop() {
	idle := b.idle()
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, x := range b.held {
		if idle || x.conn.IsClosed() || time.Now().After(x.until) {
			delete(b.held, p)
		}
	}
}

func (b *berths) reserveDue(ctx context.Context) {
	if b.idle() {
		return
	}
	for _, p := range b.candidates() {
		if ctx.Err() != nil || !b.due(p) {
			continue
		}
		b.reserve(ctx, p)
	}
}

// candidates are the linked nodes that offer to relay, members first.
func (b *berths) candidates() []peer.ID {
	var members, others []peer.ID
	for _, p := range b.host.Network().Peers() {
		if directConn(b.host.Network().ConnsToPeer(p)) == nil {
			continue
		}
		if got, err := b.host.Peerstore().SupportsProtocols(p, proto.ProtoIDv2Hop); err != nil || len(got) == 0 {
			continue
		}
		if b.fellow(p) {
			members = append(members, p)
		} else {
			others = append(others, p)
		}
	}
	return append(members, others...)
}

// due reports whether a reservation on p is missing or about to end.
func (b *berths) due(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	x, have := b.held[p]
	if have && time.Until(x.until) > renewBefore || !have && len(b.held) >= maxRelays {
		return false
	}
	t := b.tries[p]
	return t == nil || time.Now().After(t.next)
}

func (b *berths) reserve(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "reserve"), reserveWait)
	defer cancel()
	conn := directConn(b.host.Network().ConnsToPeer(p))
	if conn == nil {
		return
	}
	r, err := client.Reserve(ctx, b.host, peer.AddrInfo{ID: p})
	if err == nil && len(r.Addrs) == 0 {
		r.Addrs = b.host.Peerstore().Addrs(p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.failedLocked(p, err)
		return
	}
	delete(b.tries, p)
	b.held[p] = berth{
		conn: conn, until: r.Expiration, addrs: throughRelay(p, r.Addrs),
		limited: r.LimitData > 0 || r.LimitDuration > 0,
	}
	b.log.Debug("reserved", "relay", p, "until", r.Expiration, "limited", r.LimitData > 0)
}

func (b *berths) failedLocked(p peer.ID, err error) {
	b.log.Debug("reserve", "relay", p, "err", err)
	t := b.tries[p]
	if t == nil {
		t = &try{}
		b.tries[p] = t
	}
	t.next = time.Now().Add(jitter(min(reserveAgain<<min(t.fails, 10), reserveMost)))
	t.fails++
}

// Again forgets all pauses.
func (b *berths) Again() {
	b.mu.Lock()
	clear(b.tries)
	b.mu.Unlock()
}

// throughRelay are the addresses that lead through relay p, QUIC and TCP of
// each kind first.
func throughRelay(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	tail, err := ma.NewMultiaddr("/p2p/" + p.String() + "/p2p-circuit")
	if err != nil {
		return nil
	}
	var out []ma.Multiaddr
	for _, a := range addrs {
		if isRelayed(a) || transportOf(a) == "" {
			continue
		}
		if bare, id := peer.SplitAddr(a); id != "" {
			a = bare
		}
		out = append(out, a.Encapsulate(tail))
	}
	out = ma.Unique(out)
	return out[:min(len(out), maxRelayAddrs)]
}

// directConn is a connection that does not run over a relay, or nil.
func directConn(conns []network.Conn) network.Conn {
	for _, c := range conns {
		if !isRelayed(c.RemoteMultiaddr()) && !c.IsClosed() {
			return c
		}
	}
	return nil
}

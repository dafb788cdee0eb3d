package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/event"
)

const (
	dialTimeout  = 12 * time.Second
	linkTick     = 500 * time.Millisecond
	hintTTL      = time.Hour
	maxDials     = 8  // at once
	maxChecks    = 16 // links that are looked at, at once
	higherIDWait = 700 * time.Millisecond
	askWithin    = queryWait + time.Second/2 // of the start, whoever is on the LAN has answered
	meetWithin   = dialTimeout + askWithin   // …and members with an address are met or found to be away
)

// links keeps this node connected to the nodes it wants to talk to, with one
// link to each. It dials with jittered back-off; of two nodes that lost each
// other the one with the lower id dials first, so that they do not meet half
// way with two half-open connections.
type links struct {
	host     host.Host
	log      *slog.Logger
	want     func() []peer.ID
	changed  func() // somebody came or went; must not block
	reunions *reunions
	explain  func(peer.ID, Link) Link       // adds why a link is not direct
	relink   func(context.Context, peer.ID) // a link of several to a peer went down
	recall   func(peer.ID) []ma.Multiaddr   // where a peer last said that it is
	useful   func() []peer.ID               // strangers to be remembered: who is to be joined, or in the DHT's table
	fixed    []ma.Multiaddr                 // dialled always, whoever answers there

	poke  nudge
	began time.Time

	mu    sync.Mutex
	tries map[peer.ID]*try
	seen  map[peer.ID]time.Time
	known map[string]peer.ID // who answered at a fixed address

	measured map[peer.ID]time.Time
	pulse    func() event.Hash // changes when there is something to tell members
	beat     event.Hash
	busyTill time.Time // links are probed until then
	probed   map[peer.ID]time.Time

	doubted map[peer.ID]bool // came by a second link: are the others alive?
	shifted map[peer.ID]bool // lost one link of several

	guarded map[peer.ID]bool // whom the connection manager spares; of Run alone
}

// try is the dialling state of one peer.
type try struct {
	next    time.Time
	fails   int
	dialing bool
	why     string
}

func newLinks(h host.Host, log *slog.Logger, fixed []ma.Multiaddr, want func() []peer.ID, changed func()) *links {
	return &links{
		host: h, log: log, want: want, changed: changed, fixed: fixed, poke: newNudge(), began: time.Now(),
		tries: map[peer.ID]*try{}, seen: map[peer.ID]time.Time{}, known: map[string]peer.ID{},
		measured: map[peer.ID]time.Time{}, probed: map[peer.ID]time.Time{}, pulse: func() event.Hash { return event.Hash{} }, doubted: map[peer.ID]bool{}, shifted: map[peer.ID]bool{},
		relink: func(context.Context, peer.ID) {}, explain: func(_ peer.ID, k Link) Link { return k },
		recall: func(peer.ID) []ma.Multiaddr { return nil }, useful: func() []peer.ID { return nil },
		guarded: map[peer.ID]bool{},
	}
}

// Run dials until ctx ends and waits for its dials to end.
func (l *links) Run(ctx context.Context) error {
	n := &network.NotifyBundle{ConnectedF: l.connected, DisconnectedF: l.disconnected}
	l.host.Network().Notify(n)
	defer l.host.Network().StopNotify(n)
	dials, g := &errgroup.Group{}, &errgroup.Group{}
	dials.SetLimit(maxDials)
	g.SetLimit(maxChecks)
	tick := time.NewTicker(linkTick)
	defer tick.Stop()
	for {
		l.dialDue(ctx, dials)
		l.measureDue(ctx, g)
		l.probeDue(ctx, g)
		l.trim()
		l.guard()
		l.forget()
		l.each(ctx, g, &l.doubted, l.doubt)
		l.each(ctx, g, &l.shifted, l.relink)
		select {
		case <-ctx.Done():
			return errors.Join(dials.Wait(), g.Wait())
		case <-tick.C:
		case <-l.poke.c:
		}
	}
}

// Found adds addresses that somebody named for p, and tries them now if p is
// wanted and not connected.
func (l *links) Found(p peer.AddrInfo) {
	if p.ID == l.host.ID() || len(p.Addrs) == 0 {
		return
	}
	l.learn(p)
	l.retry(p.ID)
}

// retry makes p due now, unless a dial is under way or it was tried just now.
func (l *links) retry(p peer.ID) {
	l.mu.Lock()
	if t := l.tries[p]; t != nil && time.Until(t.next) > retryFirst {
		t.next = time.Now().Add(jitter(retryFirst))
	}
	l.mu.Unlock()
	l.poke.poke()
}

// Again forgets all back-off: this machine's network changed.
func (l *links) Again() {
	l.mu.Lock()
	for _, t := range l.tries {
		t.next, t.fails = time.Now().Add(jitter(retryFirst/2)), 0
	}
	l.mu.Unlock()
	l.poke.poke()
}

// Why says why p could not be reached, or "".
func (l *links) Why(p peer.ID) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tries[p]; t != nil {
		return t.why
	}
	return ""
}

// LastSeen is when p was last connected, or zero.
func (l *links) LastSeen(p peer.ID) time.Time {
	if l.online(p) {
		return time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[p]
}

func (l *links) online(p peer.ID) bool {
	c := l.host.Network().Connectedness(p)
	return c == network.Connected || c == network.Limited
}

// untried reports whether p, which is not online, may still be met by a node
// that has just started: no dial of it has come to an end yet, or mDNS may
// still tell where it is now.
func (l *links) untried(p peer.ID) bool {
	age, known := time.Since(l.began), l.reachable(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries[p]
	return age < askWithin || known && age < meetWithin && (t == nil || t.fails == 0)
}

// each hands the peers of a set to f, and empties it.
func (l *links) each(ctx context.Context, g *errgroup.Group, set *map[peer.ID]bool, f func(context.Context, peer.ID)) {
	l.mu.Lock()
	all := *set
	*set = map[peer.ID]bool{}
	l.mu.Unlock()
	for p := range all {
		g.TryGo(func() error { f(ctx, p); return nil })
	}
}

func (l *links) connected(_ network.Network, c network.Conn) {
	p := c.RemotePeer()
	several := len(l.host.Network().ConnsToPeer(p)) > 1
	l.mu.Lock()
	l.seen[p] = time.Now()
	delete(l.tries, p)
	delete(l.measured, p)
	if several {
		l.doubted[p] = true
	}
	l.mu.Unlock()
	l.poke.poke()
	l.changed()
}

func (l *links) disconnected(_ network.Network, c network.Conn) {
	p := c.RemotePeer()
	online := l.online(p)
	l.mu.Lock()
	l.seen[p] = time.Now()
	if online {
		l.shifted[p] = true
	}
	if l.tries[p] == nil {
		l.tries[p] = &try{next: time.Now().Add(l.courtesy(p))}
	}
	l.mu.Unlock()
	l.poke.poke()
	l.changed()
}

// courtesy is how long this node waits before it dials p: the one with the
// lower id goes first.
func (l *links) courtesy(p peer.ID) time.Duration {
	d := jitter(200 * time.Millisecond)
	if l.host.ID() > p {
		d += higherIDWait
	}
	return d
}

// jitter spreads d over 50 to 150 %.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}

package node

import (
	"context"
	crand "crypto/rand"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/event"
)

const (
	dialTimeout  = 12 * time.Second
	retryFirst   = time.Second
	retryMost    = 4 * time.Second  // while p was seen lately: a link that returns is to be noticed
	retryIdle    = 20 * time.Second // else
	seenLately   = 15 * time.Minute
	linkTick     = 500 * time.Millisecond
	hintTTL      = time.Hour
	maxDials     = 8
	higherIDWait = 700 * time.Millisecond
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
	fixed    []ma.Multiaddr                 // dialled always, whoever answers there

	poke nudge

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
		host: h, log: log, want: want, changed: changed, fixed: fixed, poke: newNudge(),
		tries: map[peer.ID]*try{}, seen: map[peer.ID]time.Time{}, known: map[string]peer.ID{},
		measured: map[peer.ID]time.Time{}, probed: map[peer.ID]time.Time{}, pulse: func() event.Hash { return event.Hash{} }, doubted: map[peer.ID]bool{}, shifted: map[peer.ID]bool{},
		relink: func(context.Context, peer.ID) {}, explain: func(_ peer.ID, k Link) Link { return k },
	}
}

// Run dials until ctx ends and waits for its dials to end.
func (l *links) Run(ctx context.Context) error {
	n := &network.NotifyBundle{ConnectedF: l.connected, DisconnectedF: l.disconnected}
	l.host.Network().Notify(n)
	defer l.host.Network().StopNotify(n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxDials + 1)
	tick := time.NewTicker(linkTick)
	defer tick.Stop()
	for {
		l.dialDue(ctx, g)
		l.measureDue(ctx, g)
		l.probeDue(ctx, g)
		l.trim()
		l.each(ctx, g, &l.doubted, l.doubt)
		l.each(ctx, g, &l.shifted, l.relink)
		select {
		case <-ctx.Done():
			return g.Wait()
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
	l.host.Peerstore().AddAddrs(p.ID, p.Addrs, hintTTL)
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

func (l *links) dialDue(ctx context.Context, g *errgroup.Group) {
	l.mu.Lock()
	fixed := slices.Clone(l.fixed)
	l.mu.Unlock()
	for _, a := range fixed {
		l.dialFixed(ctx, g, a)
	}
	for _, p := range l.want() {
		if p == l.host.ID() || l.online(p) || len(l.host.Peerstore().Addrs(p)) == 0 {
			continue
		}
		if l.begin(p) && !g.TryGo(func() error { l.dial(ctx, p); return nil }) {
			l.end(p, nil)
		}
	}
}

// begin claims the next dial of p if it is due.
func (l *links) begin(p peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries[p]
	if t == nil {
		t = &try{next: time.Now().Add(l.courtesy(p))}
		l.tries[p] = t
	}
	if t.dialing || time.Now().Before(t.next) {
		return false
	}
	t.dialing = true
	return true
}

func (l *links) end(p peer.ID, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries[p]
	if t == nil {
		return
	}
	t.dialing = false
	if err == nil {
		return
	}
	most := retryIdle
	if time.Since(l.seen[p]) < seenLately {
		most = retryMost
	}
	wait := min(retryFirst<<min(t.fails, 10), most)
	t.fails, t.next, t.why = t.fails+1, time.Now().Add(jitter(wait)), err.Error()
}

func (l *links) dial(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if s, ok := l.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p) // the back-off is ours
	}
	err := l.host.Connect(ctx, peer.AddrInfo{ID: p})
	if err != nil && ctx.Err() == nil {
		l.log.Debug("dial", "peer", p, "err", err)
	}
	l.end(p, err)
}

// dialFixed dials a --peer address. Where the address names nobody, whoever
// answers is taken: the handshake tells who it is.
func (l *links) dialFixed(ctx context.Context, g *errgroup.Group, a ma.Multiaddr) {
	if info, err := peer.AddrInfoFromP2pAddr(a); err == nil {
		l.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
		l.dialKnown(ctx, g, info.ID)
		return
	}
	l.mu.Lock()
	id, ok := l.known[a.String()]
	l.mu.Unlock()
	if ok {
		l.dialKnown(ctx, g, id)
		return
	}
	key := peer.ID("fixed " + a.String())
	if l.begin(key) && !g.TryGo(func() error { l.ask(ctx, key, a); return nil }) {
		l.end(key, nil)
	}
}

func (l *links) dialKnown(ctx context.Context, g *errgroup.Group, p peer.ID) {
	if p == l.host.ID() || l.online(p) {
		return
	}
	if l.begin(p) && !g.TryGo(func() error { l.dial(ctx, p); return nil }) {
		l.end(p, nil)
	}
}

// ask finds out who listens at a: a dial for an id that nobody has fails in
// the handshake with the id of the one who answered.
func (l *links) ask(ctx context.Context, key peer.ID, a ma.Multiaddr) {
	id, err := whoAnswers(ctx, l.host, a)
	l.end(key, err)
	if err != nil {
		l.log.Debug("dial", "addr", a, "err", err)
		return
	}
	l.host.Peerstore().AddAddrs(id, []ma.Multiaddr{a}, peerstore.PermanentAddrTTL)
	l.mu.Lock()
	l.known[a.String()] = id
	l.mu.Unlock()
	l.poke.poke()
}

// fix adds an address that is always tried.
func (l *links) fix(a ma.Multiaddr) {
	l.mu.Lock()
	l.fixed = append(l.fixed, a)
	l.mu.Unlock()
	l.poke.poke()
}

// fixedPeers are those who answered at fixed addresses.
func (l *links) fixedPeers() []peer.ID {
	var out []peer.ID
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.fixed {
		if info, err := peer.AddrInfoFromP2pAddr(a); err == nil {
			out = append(out, info.ID)
		} else if id, ok := l.known[a.String()]; ok {
			out = append(out, id)
		}
	}
	return out
}

// whoAnswers learns the peer id behind an address that does not name one.
func whoAnswers(ctx context.Context, h host.Host, a ma.Multiaddr) (peer.ID, error) {
	nobody, err := freshID()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer h.Peerstore().RemovePeer(nobody)
	err = h.Connect(ctx, peer.AddrInfo{ID: nobody, Addrs: []ma.Multiaddr{a}})
	if id, ok := mismatch(err); ok {
		return id, nil
	}
	return "", err
}

// freshID is an id that no node has.
func freshID() (peer.ID, error) {
	key, _, err := crypto.GenerateEd25519Key(crand.Reader)
	if err != nil {
		return "", err
	}
	return peer.IDFromPrivateKey(key)
}

// mismatch finds the real peer id in a failed handshake.
func mismatch(err error) (peer.ID, bool) {
	var dial *swarm.DialError
	if errors.As(err, &dial) {
		for _, e := range dial.DialErrors {
			var m sec.ErrPeerIDMismatch
			if errors.As(e.Cause, &m) {
				return m.Actual, true
			}
		}
	}
	return "", false
}

// jitter spreads d over 50 to 150 %.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}

package node

import (
	"context"
	crand "crypto/rand"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

// A dial that nobody answers takes five seconds, in which it knocks several
// times, and the pause after it must be short enough for a link that returns to
// be up within ten.
const (
	retryFirst = time.Second
	retryMost  = 1300 * time.Millisecond // longest pause while p was seen lately
	retryIdle  = 5 * time.Second         // while it was seen today
	retryRare  = 20 * time.Second        // else
	seenLately = 15 * time.Minute
	seenToday  = 24 * time.Hour
	maxKnown   = 24 // addresses of one node
	maxOwn     = 16 // of them as it named them itself
)

// fixedKey begins the key of the dial of an address that names nobody.
const fixedKey = "fixed "

func isFixedKey(p peer.ID) bool { return strings.HasPrefix(string(p), fixedKey) }

// call is a dial that is due.
type call struct {
	key  peer.ID // of its try
	next time.Time
	dial func(context.Context)
}

// dialDue begins as many dials as there may be at once, those first that have
// waited longest: in a large pool everybody gets his turn.
func (l *links) dialDue(ctx context.Context, g *errgroup.Group) {
	for _, c := range l.due(time.Now()) {
		l.claim(c.key, true)
		if !g.TryGo(func() error { c.dial(ctx); return nil }) {
			l.claim(c.key, false)
			return
		}
	}
}

// due lists whom to dial now, who has waited longest first.
func (l *links) due(now time.Time) (out []call) {
	l.mu.Lock()
	fixed := slices.Clone(l.fixed)
	l.mu.Unlock()
	seen := map[peer.ID]bool{}
	add := func(key peer.ID, dial func(context.Context)) {
		next, ok := l.turn(key, now)
		if ok && !seen[key] {
			out = append(out, call{key, next, dial})
		}
		seen[key] = true
	}
	for _, a := range fixed {
		if p := l.fixedPeer(a); p == "" {
			key := fixedKey + peer.ID(a.String())
			add(key, func(ctx context.Context) { l.ask(ctx, key, a) })
		} else if p != l.host.ID() && !l.online(p) {
			add(p, func(ctx context.Context) { l.dial(ctx, p) })
		}
	}
	for _, p := range l.want() {
		if p != l.host.ID() && !l.online(p) && l.reachable(p) {
			add(p, func(ctx context.Context) { l.dial(ctx, p) })
		}
	}
	slices.SortStableFunc(out, func(a, b call) int { return a.next.Compare(b.next) })
	return out
}

// reachable reports whether an address of p is known. What p last said of
// itself counts for as long as it is missed.
func (l *links) reachable(p peer.ID) bool {
	if len(l.host.Peerstore().Addrs(p)) > 0 {
		return true
	}
	l.remind(p)
	return len(l.host.Peerstore().Addrs(p)) > 0
}

// remind adds where p last said that it is to what others say.
func (l *links) remind(p peer.ID) {
	own := l.recall(p)
	l.host.Peerstore().AddAddrs(p, own[:min(len(own), maxOwn)], hintTTL)
}

// learn keeps addresses that somebody named for a node. Where there are too many
// the old ones go, and of the new ones chance decides, beside those that the
// node named itself: who names very many keeps this one from reaching any.
func (l *links) learn(p peer.AddrInfo) {
	book, addrs := l.host.Peerstore(), slices.Clone(p.Addrs)
	if !l.online(p.ID) && len(book.Addrs(p.ID))+len(addrs) > maxKnown {
		book.ClearAddrs(p.ID)
		rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		own := l.recall(p.ID)
		addrs = append(slices.Clone(own[:min(len(own), maxOwn)]), addrs...)
	}
	book.AddAddrs(p.ID, addrs[:min(len(addrs), maxKnown)], hintTTL)
}

// turn says since when the dial of p is due, if it is.
func (l *links) turn(p peer.ID, now time.Time) (next time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries[p]
	if t == nil {
		t = &try{next: now.Add(l.courtesy(p))}
		l.tries[p] = t
	}
	return t.next, !t.dialing && !now.Before(t.next)
}

// claim notes that a dial of p is under way, or is not after all.
func (l *links) claim(p peer.ID, dialing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tries[p]; t != nil {
		t.dialing = dialing
	}
}

func (l *links) end(p peer.ID, err error) {
	l.claim(p, false)
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries[p]
	if t == nil || err == nil {
		return
	}
	t.next, t.why = time.Now().Add(jitter(min(retryFirst<<min(t.fails, 10), l.patienceLocked(p)))), err.Error()
	t.fails++
}

// patienceLocked is the longest pause between two dials of p.
func (l *links) patienceLocked(p peer.ID) time.Duration {
	seen := l.began
	if at := l.seen[p]; at.After(seen) {
		seen = at
	}
	switch ago := time.Since(seen); {
	case ago < seenLately:
		return retryMost
	case ago < seenToday:
		return retryIdle
	}
	return retryRare
}

// fixedPeer is who is known to answer at a fixed address, or "". Its address is
// kept for good.
func (l *links) fixedPeer(a ma.Multiaddr) peer.ID {
	if info, err := peer.AddrInfoFromP2pAddr(a); err == nil {
		l.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
		return info.ID
	}
	l.mu.Lock()
	p := l.known[a.String()]
	l.mu.Unlock()
	if p != "" {
		l.host.Peerstore().AddAddrs(p, []ma.Multiaddr{a}, hintTTL)
	}
	return p
}

func (l *links) dial(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if s, ok := l.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p) // the back-off is ours
	}
	l.remind(p)
	err := l.host.Connect(ctx, peer.AddrInfo{ID: p})
	if err != nil && ctx.Err() == nil {
		l.log.Debug("dial", "peer", p, "err", err)
	}
	if _, other := mismatch(err); other {
		l.unfix(p)
	}
	l.end(p, err)
}

// unfix forgets that p answered at a fixed address: somebody else does now.
func (l *links) unfix(p peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.known, func(_ string, q peer.ID) bool { return q == p })
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

// unanswered are the fixed addresses whose node is not linked.
func (l *links) unanswered() []string {
	l.mu.Lock()
	fixed := slices.Clone(l.fixed)
	l.mu.Unlock()
	out := []string{}
	for _, a := range fixed {
		if p := l.fixedPeer(a); p == "" || p != l.host.ID() && !l.online(p) {
			out = append(out, a.String())
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

package node

import (
	"context"
	"crypto/rand"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multistream"
	"golang.org/x/sync/errgroup"
)

const (
	trimDelay = 2 * time.Second
	// A relayed link is kept beside a direct one until that has been probed.
	trimRelayed = 2 * probeWait
	// Two links that come up within atOnce were dialled at once by both sides. A
	// link that comes up later was dialled because the first one had died over
	// there, though it may look alive here.
	atOnce       = 5 * time.Second
	probeWait    = 3 * time.Second
	probeEvery   = 5 * time.Second
	busyFor      = 45 * time.Second // a dead link would be noticed by then anyhow
	strangerTime = 2 * time.Minute
)

// trim closes links that have become useless.
func (l *links) trim() {
	for _, p := range l.host.Network().Peers() {
		conns := l.host.Network().ConnsToPeer(p)
		if len(conns) > 1 {
			l.trimTo(p, bestLink(conns), conns)
		}
	}
	l.dropStrangers()
}

// bestLink is the one that is kept; conns must not be empty.
func bestLink(conns []network.Conn) network.Conn {
	best := conns[0]
	for _, c := range conns[1:] {
		if betterLink(c, best) {
			best = c
		}
	}
	return best
}

// trimTo closes all but best. Of links that were dialled at once the node with
// the lower id decides, so that the two sides never close both.
func (l *links) trimTo(p peer.ID, best network.Conn, conns []network.Conn) {
	for _, c := range conns {
		if c == best || !l.mayTrim(p, best, c) {
			continue
		}
		l.log.Debug("surplus link closed", "peer", p, "addr", c.RemoteMultiaddr(), "kept", best.RemoteMultiaddr())
		_ = c.Close() // the other link serves
	}
}

func (l *links) mayTrim(p peer.ID, best, c network.Conn) bool {
	if succeeds(best, c) && isRelayed(best.RemoteMultiaddr()) == isRelayed(c.RemoteMultiaddr()) {
		return true
	}
	delay := trimDelay
	if isRelayed(c.RemoteMultiaddr()) {
		delay = trimRelayed
	}
	return l.host.ID() < p && time.Since(c.Stat().Opened) > delay && time.Since(best.Stat().Opened) > trimDelay
}

// doubt probes the older links to a peer that has come by a new one: over
// there they may have died.
func (l *links) doubt(ctx context.Context, p peer.ID) {
	conns := l.host.Network().ConnsToPeer(p)
	for _, c := range conns {
		if slices.ContainsFunc(conns, func(d network.Conn) bool { return suspect(c, d) }) {
			l.probe(ctx, c)
		}
	}
}

// suspect reports whether the coming of next says that c may be dead. Nobody
// takes the way over a relay who has a direct link.
func suspect(c, next network.Conn) bool {
	if isRelayed(next.RemoteMultiaddr()) && !isRelayed(c.RemoteMultiaddr()) {
		return next.Stat().Opened.After(c.Stat().Opened)
	}
	return succeeds(next, c)
}

// betterLink prefers direct over relayed, then one that was dialled after the
// other had died, then TCP on a LAN, then the older.
func betterLink(a, b network.Conn) bool {
	if x, y := isRelayed(a.RemoteMultiaddr()), isRelayed(b.RemoteMultiaddr()); x != y {
		return y
	}
	if succeeds(a, b) || succeeds(b, a) {
		return succeeds(a, b)
	}
	if x, y := isLANTCP(a.RemoteMultiaddr()), isLANTCP(b.RemoteMultiaddr()); x != y {
		return x
	}
	return a.Stat().Opened.Before(b.Stat().Opened)
}

// succeeds reports whether a took the place of b.
func succeeds(a, b network.Conn) bool {
	return a.Stat().Opened.Sub(b.Stat().Opened) > atOnce
}

// dropStrangers ends relayed links of nodes that nobody here wants: they came
// to be admitted, and were not.
func (l *links) dropStrangers() {
	wanted := map[peer.ID]bool{}
	for _, p := range l.want() {
		wanted[p] = true
	}
	for _, c := range l.host.Network().Conns() {
		if isRelayed(c.RemoteMultiaddr()) && c.Stat().Direction == network.DirInbound &&
			!wanted[c.RemotePeer()] && time.Since(c.Stat().Opened) > strangerTime {
			_ = c.Close() // it may come again
		}
	}
}

// DropLost closes the links whose local address this machine no longer has:
// nothing will ever arrive on them, and only a timeout would tell.
func (l *links) DropLost(addrs []string) {
	have := map[netip.Addr]bool{}
	for _, s := range addrs {
		if p, err := netip.ParsePrefix(s); err == nil {
			have[p.Addr().Unmap()] = true
		}
	}
	for _, c := range l.host.Network().Conns() {
		ap, ok := addrPort(c.LocalMultiaddr())
		if !ok || isRelayed(c.LocalMultiaddr()) || isRelayed(c.RemoteMultiaddr()) ||
			ap.Addr().IsUnspecified() || ap.Addr().IsLoopback() || have[ap.Addr().WithZone("")] {
			continue
		}
		l.log.Debug("link lost with its address", "peer", c.RemotePeer(), "addr", ap.Addr())
		_ = c.Close() // nothing more comes of it
	}
}

// Probe asks for a sign of life on each link and closes those that give none.
// It is for moments when many may have died unseen: a resume, another network.
func (l *links) Probe(ctx context.Context) {
	g := &errgroup.Group{}
	g.SetLimit(maxDials)
	for _, c := range l.host.Network().Conns() {
		g.Go(func() error { l.probe(ctx, c); return nil })
	}
	_ = g.Wait() // there is no error
}

// probeDue asks wanted links for a sign of life while this node has something
// to tell. A link whose packets are dropped looks alive for half a minute and,
// when the way is free again, waits as long once more before it resends; one
// that does not answer is replaced. Idle links cost nothing.
func (l *links) probeDue(ctx context.Context, g *errgroup.Group) {
	now := time.Now()
	if beat := l.pulse(); beat != l.beat {
		l.beat, l.busyTill = beat, now.Add(busyFor)
	}
	if now.After(l.busyTill) {
		return
	}
	for _, p := range l.want() {
		conns := l.host.Network().ConnsToPeer(p)
		if len(conns) == 0 || now.Sub(l.probed[p]) < probeEvery {
			continue
		}
		l.probed[p] = now
		g.TryGo(func() error { l.probe(ctx, bestLink(conns)); return nil })
	}
}

func (l *links) probe(ctx context.Context, c network.Conn) {
	if !alive(ctx, c) && ctx.Err() == nil {
		l.log.Debug("dead link closed", "peer", c.RemotePeer(), "addr", c.RemoteMultiaddr())
		_ = c.Close() // it is dead
	}
}

// alive reports whether something answers over this very connection.
func alive(ctx context.Context, c network.Conn) bool {
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "probe"), probeWait)
	defer cancel()
	s, err := c.NewStream(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = s.Reset() }()             // it is used once
	_ = s.SetDeadline(time.Now().Add(probeWait)) // a stream that takes none fails below
	if err := multistream.SelectProtoOrFail(ping.ID, s); err != nil {
		return false
	}
	out, in := make([]byte, ping.PingSize), make([]byte, ping.PingSize)
	_, _ = rand.Read(out) // it never fails
	if _, err := s.Write(out); err != nil {
		return false
	}
	_, err = io.ReadFull(s, in)
	return err == nil
}

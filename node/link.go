package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"golang.org/x/sync/errgroup"
)

const (
	measureEvery = 2 * time.Minute
	measureWait  = 10 * time.Second
)

// Link says how p is reached now.
func (l *links) Link(p peer.ID) Link {
	conns := l.host.Network().ConnsToPeer(p)
	if len(conns) == 0 {
		return l.explain(p, Link{Kind: "none"})
	}
	best := conns[0]
	for _, c := range conns[1:] {
		if betterLink(c, best) {
			best = c
		}
	}
	out := Link{Kind: "direct", Transport: transportOf(best.RemoteMultiaddr()), Addr: best.RemoteMultiaddr().String(), Count: len(conns)}
	if isRelayed(best.RemoteMultiaddr()) {
		out.Kind = "relayed"
	}
	out.RTTms = l.host.Peerstore().LatencyEWMA(p).Milliseconds()
	return l.explain(p, out)
}

// measureDue asks the nodes this one is linked to for a sign of life, one at a
// time and rarely, so that status can show round-trip times.
func (l *links) measureDue(ctx context.Context, g *errgroup.Group) {
	for _, p := range l.want() {
		if !l.online(p) || !l.claimMeasure(p) {
			continue
		}
		if !g.TryGo(func() error { l.measure(ctx, p); return nil }) {
			return
		}
	}
}

func (l *links) claimMeasure(p peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.measured[p]) < measureEvery {
		return false
	}
	l.measured[p] = time.Now()
	return true
}

func (l *links) measure(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "ping"), measureWait)
	defer cancel()
	if res := <-ping.Ping(ctx, l.host, p); res.Error != nil && ctx.Err() == nil {
		l.log.Debug("ping", "peer", p, "err", res.Error)
	}
}

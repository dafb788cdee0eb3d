package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"golang.org/x/sync/errgroup"
)

const (
	punchTimeout = 2 * time.Second // of one attempt; a person may be waiting
	punchTick    = time.Second
	punchPause   = 3 * time.Second // libp2p's own attempt comes first
	punchFirst   = 10 * time.Second
	punchMost    = 10 * time.Minute
)

// puncher turns relayed links into direct ones by DCUtR. libp2p tries once,
// when a relayed link comes up; the puncher tries again with growing pauses,
// and at once when the network has changed. It registers the protocol as soon
// as somebody has seen this node at a public address, not seconds later: who
// joins over a relay is asked to punch right away.
type puncher struct {
	host   host.Host
	out    *outlook
	log    *slog.Logger
	wanted func() []peer.ID
	fresh  nudge // try everybody now

	mu    sync.Mutex
	tries map[peer.ID]*try
	last  map[peer.ID]string // why the newest punch came to nothing
}

func newPuncher(h host.Host, out *outlook, log *slog.Logger, wanted func() []peer.ID) *puncher {
	return &puncher{
		host: h, out: out, log: log, wanted: wanted, fresh: newNudge(),
		tries: map[peer.ID]*try{}, last: map[peer.ID]string{},
	}
}

// Run punches until ctx ends.
func (p *puncher) Run(ctx context.Context) error {
	if !p.awaitAddr(ctx) {
		return nil
	}
	h, ok := p.host.(interface{ IDService() identify.IDService })
	if !ok {
		return fmt.Errorf("hole punching: %T cannot identify peers", p.host)
	}
	svc, err := holepunch.NewService(p.host, h.IDService(), p.out.PunchAddrs,
		holepunch.DirectDialTimeout(punchTimeout), holepunch.WithTracer(p))
	if err != nil {
		return fmt.Errorf("hole punching: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxDials + 1)
	g.Go(func() error { <-ctx.Done(); return svc.Close() })
	p.repeat(ctx, g, svc)
	return g.Wait()
}

// awaitAddr waits until a public address of this node is known.
func (p *puncher) awaitAddr(ctx context.Context) bool {
	for len(p.out.PunchAddrs()) == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-p.out.news.c:
		}
	}
	return true
}

func (p *puncher) repeat(ctx context.Context, g *errgroup.Group, svc *holepunch.Service) {
	tick := time.NewTicker(punchTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.fresh.c:
			p.mu.Lock()
			clear(p.tries)
			p.mu.Unlock()
		case <-tick.C:
		}
		for _, id := range p.wanted() {
			if p.due(id) && !g.TryGo(func() error { p.punch(svc, id); return nil }) {
				p.done(id)
			}
		}
	}
}

// Again forgets all pauses.
func (p *puncher) Again() { p.fresh.poke() }

// due claims the next punch to id. Only the side that the relayed link came
// in to may begin one.
func (p *puncher) due(id peer.ID) bool {
	since, ok := relayedInbound(p.host.Network().ConnsToPeer(id))
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok {
		delete(p.tries, id)
		return false
	}
	t := p.tries[id]
	if t == nil {
		t = &try{next: since.Add(punchPause)}
		p.tries[id] = t
	}
	if t.dialing || time.Now().Before(t.next) {
		return false
	}
	t.dialing = true
	return true
}

func (p *puncher) punch(svc *holepunch.Service, id peer.ID) {
	defer p.done(id)
	if err := svc.DirectConnect(id); err != nil {
		p.log.Debug("hole punch", "peer", id, "err", err)
	}
}

func (p *puncher) done(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.tries[id]; t != nil {
		t.dialing = false
		t.next = time.Now().Add(jitter(min(punchFirst<<min(t.fails, 10), punchMost)))
		t.fails++
	}
}

// relayedInbound says since when id is linked by nothing but relays, if one of
// these links came from there.
func relayedInbound(conns []network.Conn) (since time.Time, ok bool) {
	for _, c := range conns {
		if !isRelayed(c.RemoteMultiaddr()) {
			return time.Time{}, false
		}
		if c.Stat().Direction == network.DirInbound {
			since, ok = c.Stat().Opened, true
		}
	}
	return since, ok
}

// Trace takes in what libp2p says of its attempts.
func (p *puncher) Trace(e *holepunch.Event) {
	why := ""
	switch x := e.Evt.(type) {
	case *holepunch.StartHolePunchEvt:
		p.log.Debug("hole punch", "peer", e.Remote, "at", x.RemoteAddrs, "rtt", x.RTT)
		return
	case *holepunch.EndHolePunchEvt:
		why = x.Error
		p.log.Debug("hole punched", "peer", e.Remote, "ok", x.Success, "ms", x.EllapsedTime.Milliseconds(), "err", x.Error)
	case *holepunch.ProtocolErrorEvt:
		why = x.Error
		p.log.Debug("hole punch not agreed on", "peer", e.Remote, "err", x.Error)
	case *holepunch.DirectDialEvt:
		p.log.Debug("direct dial", "peer", e.Remote, "ok", x.Success, "err", x.Error)
		return
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) > maxSightings {
		clear(p.last)
	}
	p.last[e.Remote] = why
}

// Why says why the newest punch to id failed, or "".
func (p *puncher) Why(id peer.ID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[id]
}

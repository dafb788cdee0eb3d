package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	identifypb "github.com/libp2p/go-libp2p/p2p/protocol/identify/pb"
	"github.com/libp2p/go-msgio/pbio"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"
)

const (
	glimpseWait  = 4 * time.Second
	glimpseAgain = 15 * time.Minute
	maxGlimpses  = 4  // at once
	maxIdentify  = 10 // messages of one identification
)

// A link to a public node shows the port that the router gave to one transport
// alone. A glimpse opens a second connection beside it, over the other
// transport, asks from where it is seen, and closes it: so a hole can be
// punched over whichever transport the other side knows of itself.

// missing are addresses of p, among addrs, to glimpse at: one for each
// transport that p has not seen this node by.
func (o *outlook) missing(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	if o.Public() {
		return nil
	}
	var out []ma.Multiaddr
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range addrs {
		k := sighter{p, transportOf(a)}
		if k.transport == "" || isRelayed(a) || !manet.IsPublicAddr(a) || !o.listensTo(k.transport) {
			continue
		}
		if _, seen := o.seen[k]; seen || time.Since(o.asked[k]) < glimpseAgain || len(o.asked) >= maxSightings {
			continue
		}
		o.asked[k] = time.Now()
		out = append(out, a)
	}
	return out
}

// look takes a glimpse at each of addrs.
func (o *outlook) look(ctx context.Context, p peer.ID, addrs []ma.Multiaddr) {
	for _, a := range addrs {
		c, seen, err := glimpse(ctx, o.host, p, a)
		if transportOf(a) == "quic-v1" {
			o.mu.Lock()
			o.blind = err != nil
			o.mu.Unlock()
		}
		if err != nil {
			o.log.Debug("glimpse", "peer", p, "addr", a, "err", err)
			continue
		}
		o.note(p, c, seen)
		o.news.poke()
	}
}

// glimpse connects to p at a beside the links that there are, and returns the
// local address it left by and the one that p saw.
func glimpse(ctx context.Context, h host.Host, p peer.ID, a ma.Multiaddr) (local, seen ma.Multiaddr, err error) {
	s, ok := h.Network().(*swarm.Swarm)
	if !ok {
		return nil, nil, fmt.Errorf("%T has no transports", h.Network())
	}
	ctx, cancel := context.WithTimeout(ctx, glimpseWait)
	defer cancel()
	t := s.TransportForDialing(a)
	if t == nil {
		return nil, nil, fmt.Errorf("no transport for %s", a)
	}
	c, err := t.Dial(ctx, a, p)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	seen, err = askSeen(ctx, c)
	return c.LocalMultiaddr(), seen, err
}

// askSeen asks the other end of c to identify itself, which tells where it
// sees c come from.
func askSeen(ctx context.Context, c transport.CapableConn) (ma.Multiaddr, error) {
	s, err := c.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Reset() }()               // all has been read
	_ = s.SetDeadline(time.Now().Add(glimpseWait)) // a stream that takes none fails below
	if err := multistream.SelectProtoOrFail(identify.ID, s); err != nil {
		return nil, err
	}
	r := pbio.NewDelimitedReader(s, maxReport)
	for range maxIdentify {
		var m identifypb.Identify
		if err := r.ReadMsg(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if len(m.ObservedAddr) > 0 {
			return ma.NewMultiaddrBytes(m.ObservedAddr)
		}
	}
	return nil, errors.New("it does not say")
}

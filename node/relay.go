package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

const (
	relayTick = time.Second
	// Strangers reach members through this relay to ask for admission, so often.
	strangersASecond = 2
	strangersAtOnce  = 20
)

// Relay modes.
const (
	relayNone    = iota
	relayMembers // for the members of this node's pools, without limits
	relayOpen    // for everybody, within libp2p's default limits
)

// relayDesk runs the relay service of this node as long as it is wanted.
type relayDesk struct {
	host   host.Host
	log    *slog.Logger
	mode   func() int
	fellow func(peer.ID) bool
	limit  *rate.Limiter // of what is carried

	strangers *rate.Limiter
}

func newRelayDesk(h host.Host, log *slog.Logger, mode func() int, fellow func(peer.ID) bool, limit *rate.Limiter) *relayDesk {
	return &relayDesk{
		host: h, log: log, mode: mode, fellow: fellow, limit: limit,
		strangers: rate.NewLimiter(strangersASecond, strangersAtOnce),
	}
}

// Run starts and stops the service as its mode changes, until ctx ends.
func (d *relayDesk) Run(ctx context.Context) error {
	have := relayNone
	var svc *relay.Relay
	stop := func() {
		if svc != nil {
			_ = svc.Close() // it closes what it holds; nothing is lost
			svc = nil
		}
	}
	defer func() { stop() }()
	for {
		if want := d.mode(); want != have {
			was := have
			stop()
			svc, have = d.start(ctx, want), want
			if was != relayNone {
				d.dropAll()
			}
		}
		if !sleep(ctx, relayTick) {
			return nil
		}
	}
}

func (d *relayDesk) start(ctx context.Context, mode int) *relay.Relay {
	if mode == relayNone {
		return nil
	}
	opts := []relay.Option{relay.WithResources(relayResources(mode)), relay.WithMetricsTracer(toll{ctx, d.limit})}
	if mode == relayMembers {
		opts = append(opts, relay.WithACL(d))
	}
	svc, err := relay.New(d.host, opts...)
	if err != nil {
		d.log.Error("relay", "err", err)
		return nil
	}
	d.log.Info("relaying", "members only", mode == relayMembers)
	return svc
}

// dropAll ends all links: whoever holds a reservation of the old mode comes
// back and gets a new one.
func (d *relayDesk) dropAll() {
	for _, p := range d.host.Network().Peers() {
		_ = d.host.Network().ClosePeer(p) // it comes back
	}
}

// relayResources are the limits of the service. Fellow members have no limit
// on time and bytes; what a stranger may move is too little for files.
func relayResources(mode int) relay.Resources {
	r := relay.DefaultResources()
	r.MaxReservationsPerIP, r.MaxReservationsPerASN = 64, 128
	if mode == relayMembers {
		r.Limit = nil
		r.MaxCircuits, r.BufferSize = 64, 64<<10
	}
	return r
}

// AllowReserve lets members be reached through this node.
func (d *relayDesk) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return d.fellow(p) }

// AllowConnect lets everybody reach a member, because who wants to join is no
// member yet; strangers rarely. The member ends such a link soon if nothing
// comes of it.
func (d *relayDesk) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	return d.fellow(dest) && (d.fellow(src) || d.strangers.Allow())
}

package node

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/event"
)

const (
	networkPoll = 2 * time.Second
	// A poll that comes so late by the wall clock means that the machine slept.
	sleptFor = 15 * time.Second
)

// surroundings are what this node does about the routers around it and its
// peers: it learns how it is seen, lends and borrows relays, and punches holes.
type surroundings struct {
	out    *outlook
	desk   *relayDesk
	berths *berths
	punch  *puncher
	find   *finder // nil: the DHT is off
	found  func(peer.AddrInfo)
	meet   *reunions
}

// hostConfig derives from the settings how the host listens.
func (n *Node) hostConfig() hostConfig {
	if mapsPorts(n.conf.Listen) {
		n.mapper = newMapper()
	}
	return hostConfig{
		metrics: n.conf.Metrics,
		key:     n.home.Key(), listen: n.conf.Listen,
		public: n.takenForPublic(), mapper: n.mapper, gater: n.conduct, fellow: n.fellow, pest: n.outPest,
	}
}

// takenForPublic reports whether this node need not ask others whether it can
// be reached: its owner says so, or it listens on a public IPv4 address.
func (n *Node) takenForPublic() bool {
	return n.conf.Relay == "on" || !onLoopback(n.conf.Listen) && hasPublicIPv4()
}

func (n *Node) newSurroundings() *surroundings {
	out := newOutlook(n.host, n.log, n.takenForPublic())
	n.links.reunions = newReunions(n.log, n.all)
	n.links.relink, n.links.explain, n.links.pulse, n.links.recall = n.relinked, n.explain, n.pulse, n.lastAddrs
	find := n.newFinder()
	n.links.useful = func() []peer.ID { return append(n.joiner.targets(), find.Known()...) }
	return &surroundings{
		out:    out,
		desk:   newRelayDesk(n.host, n.log, n.relayMode, n.fellow, n.carried),
		berths: newBerths(n.host, n.log, out.Public, n.fellow),
		punch:  newPuncher(n.host, out, n.log, n.wanted),
		find:   find,
		found:  n.found,
		meet:   n.links.reunions,
	}
}

// Run keeps all of it going until ctx ends.
func (s *surroundings) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.out.Run(ctx) })
	g.Go(func() error { return s.desk.Run(ctx) })
	g.Go(func() error { return s.berths.Run(ctx) })
	g.Go(func() error { return s.punch.Run(ctx) })
	g.Go(func() error { return s.meet.Run(ctx) })
	if s.find != nil {
		g.Go(func() error { return s.find.Run(ctx, s.found) })
	}
	return g.Wait()
}

// moved makes a fresh start after this machine's addresses have changed.
func (s *surroundings) moved() {
	s.out.Forget()
	s.berths.Again()
	s.punch.Again()
}

// relayMode says for whom this node relays now.
func (n *Node) relayMode() int {
	switch {
	case n.conf.Relay == "off":
		return relayNone
	case len(n.all()) > 0 && (n.conf.Relay == "on" || n.nat.out.Public()):
		return relayMembers
	case n.conf.Relay == "on":
		return relayOpen
	}
	return relayNone
}

// fellow reports whether p shares a pool with this node.
func (n *Node) fellow(p peer.ID) bool {
	return slices.ContainsFunc(n.all(), func(r *replica) bool {
		_, ok := r.st.Roster().Member(p)
		return ok
	})
}

// watchNetwork notices that this machine has got other addresses or has slept,
// and meets everybody anew.
func (n *Node) watchNetwork(ctx context.Context) error {
	last, polled := localAddrs(), time.Now().Round(0)
	for sleep(ctx, networkPoll) {
		now := localAddrs()
		slept := time.Now().Round(0).Sub(polled) > sleptFor
		polled = time.Now().Round(0)
		if moved := !slices.Equal(now, last); moved || slept {
			n.log.Info("network changed", "addrs", now, "slept", slept)
			n.meetAnew(ctx, now)
			last = now
		}
	}
	return nil
}

func (n *Node) meetAnew(ctx context.Context, addrs []string) {
	refreshAddrs(n.host)
	n.log.Debug("own addresses", "addrs", n.host.Addrs())
	n.nat.moved()
	n.links.DropLost(addrs)
	n.links.Again()
	n.links.Probe(ctx)
	n.log.Debug("links probed")
	n.links.Again()
	for _, r := range n.all() {
		r.reportNow.poke()
	}
	n.mapper.Moved(addrs)
}

// relinked repairs with a member that went over from one link to another: what
// was announced on a dying link is lost.
func (n *Node) relinked(ctx context.Context, p peer.ID) {
	for _, r := range n.all() {
		if _, ok := r.st.Roster().Member(p); !ok {
			continue
		}
		if err := n.feed.Repair(ctx, r.id, p); err != nil && ctx.Err() == nil {
			n.log.Debug("repair on another link", "peer", p, "err", err)
		}
	}
}

// pulse changes whenever the tree of a pool does.
func (n *Node) pulse() event.Hash {
	var out event.Hash
	for _, r := range n.all() {
		root := r.st.Stats().Root
		for i := range out {
			out[i] ^= root[i]
		}
	}
	return out
}

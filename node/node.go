// Package node introduces everybody to everybody and keeps them running: the
// identity, the libp2p host, discovery, one replica for each pool, and the
// answers that the control socket gives. It decides nothing about files that
// event, store or folder could decide.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/swarm"
)

const (
	// stopWithin bounds an orderly stop.
	stopWithin = 4 * time.Second
	// farewell is how long the last words to members may take to leave.
	farewell = 150 * time.Millisecond
)

// Config says how a node runs. Home is required; the caller keeps owning it
// and closes it after Run.
type Config struct {
	Home      *Home
	Applied   func(Settings) // told when a running node has taken up other settings; may be nil
	Log       *slog.Logger
	Listen    []string // multiaddrs; none: TCP and QUIC on DefaultPort
	Peers     []string // multiaddrs that are always tried
	Bootstrap []string
	DHT       string // "off", "private" or "public"
	MDNS      string // "on" or "off"
	Relay     string // "auto", "on" or "off"
	Name      string
	Ground    Ground

	Metrics   prometheus.Registerer // takes libp2p's metrics; nil: none are kept
	Delivered func(time.Duration)   // told of each event that arrives, and its age; must not block; may be nil
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MDNS == "" {
		c.MDNS = "on"
	}
	if c.Delivered == nil {
		c.Delivered = func(time.Duration) {}
	}
	return c
}

// Node is one running meerkat.
type Node struct {
	conf    Config
	home    *Home
	self    peer.ID
	log     *slog.Logger
	clock   *event.Clock
	mapper  *mapper // nil: routers are not asked for ports
	diary   *diary
	pauses  pauses
	up      *rate.Limiter // of content, over all pools
	down    *rate.Limiter // likewise
	carried *rate.Limiter // as a relay
	started time.Time

	// Set once by Run before anything is started.
	host   host.Host
	feed   *pubsub.Feed
	swarm  *swarm.Swarm
	links  *links
	admit  *Admission
	joiner *joiner
	regain *regain
	heirs  *heirs
	nat    *surroundings

	conduct *conduct
	hosted  atomic.Bool    // host is set
	shunned sync.WaitGroup // links that are being closed

	mu       sync.Mutex
	replicas map[event.PoolID]*running
	retired  map[event.PoolID]*replica // pools that were merged into others, or left, kept for members who do not know yet
	group    *errgroup.Group
	ctx      context.Context // of the replicas; nil until Run
}

// New makes a node that is not running yet; it starts nothing and opens
// nothing.
func New(c Config) (*Node, error) {
	c = c.withDefaults()
	if c.Home == nil {
		return nil, errors.New("node: no home")
	}
	events, err := newDiary(filepath.Join(c.Home.StateDir(), "events.jsonl"), c.Log)
	if err != nil {
		c.Log.Warn("events of earlier runs are lost", "err", err)
	}
	set := c.Home.Settings()
	rateUp, rateDown := set.rates(time.Now())
	return &Node{
		conf: c, home: c.Home, self: c.Home.ID(), log: c.Log, clock: c.Home.Clock(),
		diary: events, up: newLimiter(rateUp), down: newLimiter(rateDown), carried: newLimiter(set.RateRelay), replicas: map[event.PoolID]*running{},
		retired: map[event.PoolID]*replica{},
	}, nil
}

// Run listens, finds the members of this node's pools and keeps its folders
// equal to theirs until ctx ends. ready is called once it serves. It blocks,
// stops in order within a few seconds, and leaves no goroutine behind.
func (n *Node) Run(ctx context.Context, ready func()) error {
	if err := n.build(); err != nil {
		return err
	}
	defer n.host.Close()
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, base := errgroup.WithContext(base)
	n.serve(g, base)
	err := n.runPools(ctx, base, ready)
	_ = sleep(base, farewell)
	cancel()
	return errors.Join(err, n.awaitStop(g))
}

// awaitStop waits for the node's own goroutines. They have been told to end.
func (n *Node) awaitStop(g *errgroup.Group) error {
	defer n.shunned.Wait()
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// build makes the parts and introduces them to each other.
func (n *Node) build() (err error) {
	n.conduct = newConduct(n.shun)
	fixed, err := parseAddrs(slices.Concat(n.conf.Peers, n.conf.Bootstrap))
	if err != nil {
		return err
	}
	if n.host, err = n.conf.Ground.host(n.hostConfig()); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	n.hosted.Store(true)
	defer func() {
		if err != nil {
			_ = n.host.Close() // err says why
		}
	}()
	if n.feed, err = pubsub.New(n.host, pubsub.Config{Log: n.log, Blame: n.blame, Muted: n.muted}); err != nil {
		return err
	}
	if n.swarm, err = swarm.New(n.host, source{n.find}, n.swarmConfig()); err != nil {
		return err
	}
	n.links = newLinks(n.host, n.log, fixed, n.wanted, n.linksChanged)
	n.joiner = newJoiner(n)
	n.admit = n.newAdmission()
	n.regain = newRegain(n)
	n.heirs = &heirs{n: n, poke: newNudge()}
	n.nat = n.newSurroundings()
	n.started = time.Now()
	return n.loadPauses()
}

func (n *Node) newAdmission() *Admission {
	return NewAdmission(AdmissionConfig{
		Host: n.host, Key: n.home.Key(), Clock: n.clock, Facts: n.home.DB(), Log: n.log,
		Pools:   n.pools,
		Merging: n.joiner.merging,
		Changed: func(id event.PoolID) {
			if r := n.find(id); r != nil {
				r.rosterChanged()
			}
		},
		Asked: func() {
			n.diary.add(EventInfo{Type: "request"})
		},
	})
}

// serve starts the parts that all pools share.
func (n *Node) serve(g *errgroup.Group, ctx context.Context) {
	g.Go(func() error { return n.feed.Run(ctx) })
	g.Go(func() error { return n.swarm.Run(ctx) })
	g.Go(func() error { return n.links.Run(ctx) })
	g.Go(func() error { return n.admit.Run(ctx) })
	g.Go(func() error { return n.diary.Run(ctx) })
	g.Go(func() error { return n.watchNetwork(ctx) })
	g.Go(func() error { return n.tellAddrs(ctx) })
	g.Go(func() error { return n.nat.Run(ctx) })
	g.Go(func() error { return n.followWindows(ctx) })
	if n.conf.MDNS == "on" {
		l := &lan{host: n.host, log: n.log, shown: n.lanShown, sought: n.lanSought, poll: mdnsPoll}
		g.Go(func() error { return l.Run(ctx, n.found) })
	}
}

// runPools runs a replica for each pool until ctx ends. base outlives ctx, so
// that what a replica says last can still be sent.
func (n *Node) runPools(ctx, base context.Context, ready func()) error {
	pools, cancel := context.WithCancel(base)
	defer cancel()
	g := &errgroup.Group{}
	n.mu.Lock()
	n.group, n.ctx = g, pools
	n.mu.Unlock()
	n.home.finishMoves()
	for _, p := range n.home.Pools() {
		if err := n.start(p.ID, p.Path); errors.Is(err, errNoRoster) {
			n.regain.add(p)
		} else if err != nil {
			n.log.Error("pool", "path", p.Path, "err", err)
		}
	}
	g.Go(func() error { return n.joiner.Run(pools) })
	g.Go(func() error { return n.regain.Run(pools) })
	g.Go(func() error { return n.heirs.Run(pools) })
	if ready != nil {
		ready()
	}
	select {
	case <-ctx.Done():
	case <-base.Done(): // a part that all pools need has failed
	}
	cancel()
	n.mu.Lock()
	n.ctx = nil // nothing is started from here on
	n.mu.Unlock()
	return g.Wait()
}

func (n *Node) find(id event.PoolID) *replica {
	n.mu.Lock()
	defer n.mu.Unlock()
	if run := n.replicas[id]; run != nil {
		return run.replica
	}
	return nil
}

func (n *Node) all() []*replica {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*replica, 0, len(n.replicas))
	for _, run := range n.replicas {
		out = append(out, run.replica)
	}
	return out
}

// known are the replicas, and the pools that live on here only for members who
// have not heard that they were merged, or that this node has left.
func (n *Node) known() []*replica {
	out := n.all()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.retired {
		out = append(out, r)
	}
	return out
}

// wanted lists everybody that this node wants a link to.
func (n *Node) wanted() []peer.ID {
	seen := map[peer.ID]bool{n.self: true}
	var out []peer.ID
	for _, r := range n.known() {
		if !r.seeks() {
			continue
		}
		for _, m := range r.st.Roster().Members() {
			if !seen[m.ID] {
				seen[m.ID] = true
				out = append(out, m.ID)
			}
		}
	}
	return out
}

// linksChanged wakes what waits for somebody to be online.
func (n *Node) linksChanged() {
	for _, r := range n.all() {
		r.met()
	}
}

// found takes in what discovery met.
func (n *Node) found(p peer.AddrInfo) {
	n.links.Found(p)
	n.joiner.Found(p)
	n.regain.found(p.ID)
}

// Addrs lists where this node listens, each with its id.
func (n *Node) Addrs() []string {
	if n.host == nil {
		return []string{}
	}
	out := []string{}
	for _, a := range n.host.Addrs() {
		out = append(out, a.String()+"/p2p/"+n.self.String())
	}
	return out
}

func parseAddrs(in []string) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	for _, s := range in {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, &Error{
				Code: "bad_address", Message: fmt.Sprintf("%q is not a multiaddr", s),
				Hint: "write it like /ip4/192.168.1.5/tcp/7716", Exit: 2, Err: err,
			}
		}
		out = append(out, a)
	}
	return out, nil
}

package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

const (
	regainPoll  = time.Second
	regainAgain = 10 * time.Second // before the same node is asked again
)

// errNoRoster: the config names a pool that the state knows nothing of.
var errNoRoster = errors.New("this node's state does not know the pool any more")

// regain asks for the rosters of pools whose state was lost, until a member
// gives them; then the pools start anew, in merge mode.
type regain struct {
	n    *Node
	poke nudge

	mu    sync.Mutex
	pools map[event.PoolID]*lostPool
	asked map[peer.ID]time.Time
	met   map[peer.ID]bool
}

// lostPool is a pool of the config without a roster.
type lostPool struct {
	HomePool
	why string // what the last answer was, "" while nobody has answered
}

func newRegain(n *Node) *regain {
	return &regain{n: n, poke: newNudge(), pools: map[event.PoolID]*lostPool{}, asked: map[peer.ID]time.Time{}, met: map[peer.ID]bool{}}
}

// add takes in a pool that could not be started.
func (g *regain) add(p HomePool) {
	g.mu.Lock()
	g.pools[p.ID] = &lostPool{HomePool: p}
	g.mu.Unlock()
	g.n.log.Warn("the pool's state is lost: its members are asked for it", "path", p.Path)
	g.poke.poke()
}

// drop forgets a pool that is left.
func (g *regain) drop(id event.PoolID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pools, id)
}

// found notes a node that discovery met while something is lost.
func (g *regain) found(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pools) > 0 && len(g.met) < maxMet {
		g.met[p] = true
		g.poke.poke()
	}
}

func (g *regain) open() []HomePool {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []HomePool
	for _, p := range g.pools {
		out = append(out, p.HomePool)
	}
	return out
}

// Run asks until ctx ends.
func (g *regain) Run(ctx context.Context) error {
	for {
		for _, p := range g.open() {
			g.attempt(ctx, p)
		}
		var again <-chan time.Time
		if len(g.open()) > 0 {
			again = time.After(regainPoll)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-g.poke.c:
		}
	}
}

func (g *regain) attempt(ctx context.Context, p HomePool) {
	for _, id := range g.candidates() {
		err := g.ask(ctx, p, id)
		if err == nil || ctx.Err() != nil {
			return
		}
		g.n.log.Debug("regain", "pool", p.ID, "peer", id, "err", err)
	}
}

// candidates are the nodes whose turn it is: those connected, which members
// that know this node soon are, the fixed ones, and whom discovery met.
func (g *regain) candidates() []peer.ID {
	all := append(g.n.host.Network().Peers(), g.n.links.fixedPeers()...)
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.asked, func(_ peer.ID, at time.Time) bool { return time.Since(at) > regainAgain })
	for id := range g.met {
		all = append(all, id)
	}
	var out []peer.ID
	for _, id := range all {
		if id != g.n.self && time.Since(g.asked[id]) > regainAgain {
			g.asked[id] = time.Now()
			out = append(out, id)
		}
	}
	return out
}

func (g *regain) ask(ctx context.Context, p HomePool, from peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, joinAskWait)
	defer cancel()
	if g.n.host.Network().Connectedness(from) != network.Connected {
		if err := g.n.host.Connect(ctx, peer.AddrInfo{ID: from}); err != nil {
			return fmt.Errorf("connect: %w", firstLine(err))
		}
	}
	answer, err := g.n.admit.AskAgain(ctx, from, p.ID)
	switch {
	case err != nil:
		return err
	case answer.Refused != nil:
		g.refused(p.ID, answer.Refused)
		return answer.Refused
	}
	return g.enter(p, answer.Records)
}

// refused keeps what a person should know: that nobody has heard of the pool
// says nothing, since strangers answer so too.
func (g *regain) refused(id event.PoolID, e *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pools[id]; p != nil && e.Code != "unknown_pool" {
		p.why = e.Message
	}
}

// enter takes the roster back and starts the pool.
func (g *regain) enter(p HomePool, recs []pool.Record) error {
	ro, err := pool.NewRoster(recs)
	if err != nil {
		return fmt.Errorf("the roster that came: %w", err)
	}
	if ro.ID() != p.ID {
		return errors.New("the roster that came is another pool's")
	}
	if _, ok := ro.Member(g.n.self); !ok {
		return errors.New("the roster that came does not list this node")
	}
	st, err := g.n.home.DB().Pool(p.ID)
	if err == nil {
		_, err = st.AddRecords(ro.Records())
	}
	if err == nil {
		err = g.n.start(p.ID, p.Path)
	}
	if err != nil {
		return err
	}
	g.drop(p.ID)
	if r := g.n.find(p.ID); r != nil {
		r.notice("state_lost", "this node's state was lost; it has entered the pool again and compared its files with the members'")
	}
	return nil
}

// statuses shows the pools that are lost as what they are.
func (g *regain) statuses() []PoolStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []PoolStatus
	for _, p := range g.pools {
		s := PoolStatus{
			ID: p.ID.String(), Name: filepath.Base(p.Path), Path: p.Path, Role: "none", State: StateStarting,
			Problems: []Problem{}, Members: []Member{},
			Notices: []string{"this node's state was lost; waiting for a member of the pool to give it again"},
		}
		if p.why != "" {
			s.State, s.HaltedWhy = StateHalted, p.why
		}
		out = append(out, s)
	}
	return out
}

// names are the lost pools' names on the LAN, so that members find this node.
func (g *regain) names() []string {
	var out []string
	for _, p := range g.open() {
		out = append(out, lanName("pool", p.ID[:]))
	}
	return out
}

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

const (
	heirsAgain  = 2 * time.Second  // between tries to follow a pool
	lastLook    = time.Minute      // at most, at the folder and at members, before it is handed over
	askAgainFor = 15 * time.Second // a member, for the roster of the pool that is followed to
)

// heirs moves this node's folders along with pools that were merged into
// others: whoever learns from a roster that its pool goes on as another one
// hands its folder over to that, in merge mode. All of it is derived from the
// rosters and the config, so that a crash means trying again.
type heirs struct {
	n    *Node
	poke nudge
	told map[event.PoolID]string // why a pool did not follow, as last said
}

// Run follows what has been merged until ctx ends.
func (h *heirs) Run(ctx context.Context) error {
	h.told = map[event.PoolID]string{}
	for {
		open := h.followAll(ctx)
		var again <-chan time.Time
		retired, untold := h.retire(), h.tellPartings()
		if retired || untold || open {
			again = time.After(heirsAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-h.poke.c:
		}
	}
}

// followAll moves each folder that can be; it reports whether one is left.
func (h *heirs) followAll(ctx context.Context) (open bool) {
	for _, r := range h.n.all() {
		into, merged := r.st.Roster().Merged()
		if !merged || r.amOut() {
			continue
		}
		err := h.follow(ctx, r, into)
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			h.say(r, into, err)
			open = true
		}
	}
	return open
}

// say tells the owner, once, why a folder stays where it is.
func (h *heirs) say(r *replica, into pool.Successor, err error) {
	if h.told[r.id] == err.Error() {
		return
	}
	h.told[r.id] = err.Error()
	r.notice("merged", fmt.Sprintf("the pool goes on as %q, and this folder does not follow yet: %v", into.Name, err))
}

// follow hands the folder of r over to the pool into. An error is why it has
// to wait; r runs on meanwhile.
func (h *heirs) follow(ctx context.Context, r *replica, into pool.Successor) error {
	if h.n.home.hasPool(into.ID) {
		return errors.New("this node has another folder of that pool: move there what only lies here, then leave this one with: meerkat pool leave")
	}
	ro, err := h.roster(ctx, r, into)
	if err != nil {
		return err
	}
	if back, ok := ro.Merged(); ok && back.ID == r.id && bytes.Compare(r.id[:], into.ID[:]) > 0 {
		return nil // each was merged into the other, and this is the one that stays
	}
	if r.paused() {
		return errors.New("it is paused")
	}
	if !r.guarded() {
		return errors.New(r.haltedWhy())
	}
	h.look(ctx, r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return h.move(r, into)
}

// roster is that of the pool into; where it is not known here it is asked for.
func (h *heirs) roster(ctx context.Context, r *replica, into pool.Successor) (*pool.Roster, error) {
	if _, ro, err := h.n.home.roster(into.ID); err == nil {
		if _, ok := ro.Member(h.n.self); ok {
			return ro, nil
		}
	}
	last := errors.New("no member of it can be reached")
	for _, p := range h.whoKnows(r, into) {
		ro, err := h.askRoster(ctx, p, into.ID)
		if err == nil {
			return ro, h.n.home.learn(ro)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if e, ok := errors.AsType[*Error](err); ok && e.Code == "removed" {
			return nil, err
		}
		h.n.log.Debug("follow", "pool", r.name(), "peer", p, "err", err)
		last = err
	}
	return nil, last
}

// whoKnows are the nodes that may be members of the pool into: those that the
// merge names, and this pool's members that are online.
func (h *heirs) whoKnows(r *replica, into pool.Successor) []peer.ID {
	out := r.onlineMembers()
	for _, s := range into.Addrs {
		if p, err := peer.AddrInfoFromString(s); err == nil && p.ID != h.n.self {
			h.n.host.Peerstore().AddAddrs(p.ID, p.Addrs, hintTTL)
			out = append(out, p.ID)
		}
	}
	return out
}

func (h *heirs) askRoster(ctx context.Context, p peer.ID, id event.PoolID) (*pool.Roster, error) {
	ctx, cancel := context.WithTimeout(ctx, askAgainFor)
	defer cancel()
	if err := h.n.host.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
		return nil, fmt.Errorf("connect: %w", firstLine(err))
	}
	answer, err := h.n.admit.AskAgain(ctx, p, id)
	if err != nil {
		return nil, err
	}
	if answer.Refused != nil {
		return nil, answer.Refused
	}
	ro, err := pool.NewRoster(answer.Records)
	if err != nil {
		return nil, fmt.Errorf("the roster that came: %w", err)
	}
	if ro.ID() != id {
		return nil, errors.New("the roster that came is another pool's")
	}
	return ro, nil
}

// look brings the old pool up to date once more, as far as that is possible
// now: what changed here is published in it, and what members know of it is
// learnt, so that nothing which was replaced or deleted there comes back.
func (h *heirs) look(ctx context.Context, r *replica) {
	ctx, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	if err := r.scanNowAll(ctx); err != nil {
		r.log.Debug("last look", "pool", r.name(), "err", err)
	}
	for _, p := range r.onlineMembers() {
		r.comparedWith(ctx, p)
	}
}

// move stops the pool here and starts the one that it goes on as.
func (h *heirs) move(r *replica, into pool.Successor) error {
	p := HomePool{ID: r.id, Path: r.path}
	h.n.leave(r.id)
	open, err := r.st.Intents()
	if err == nil && len(open) > 0 {
		err = errors.New("a change of a file is not finished")
	}
	if err == nil {
		err = h.n.home.handOver(p, into.ID)
	}
	if err != nil {
		return errors.Join(err, h.n.start(p.ID, p.Path))
	}
	h.n.log.Info("merged", "pool", r.name(), "into", into.Name, "dir", p.Path)
	h.n.diary.add(EventInfo{Type: "pool.merged", Pool: into.ID.String(), Detail: r.name() + " goes on as " + into.Name})
	return h.n.start(into.ID, p.Path)
}

// bequeath has the members of the pool that j merges follow this node into
// ro's, which has let all of them in.
func (n *Node) bequeath(j PendingJoin, ro *pool.Roster) (PoolInfo, error) {
	if into, back := ro.Merged(); back {
		return PoolInfo{}, trouble("merged", nil, "%q was merged into %q", ro.Name(), into.Name)
	}
	tk, err := pool.ParseTicket(j.Ticket)
	if err != nil {
		return PoolInfo{}, poolTrouble(err)
	}
	if err := n.home.learn(ro); err != nil {
		return PoolInfo{}, err
	}
	if err := n.home.signMerge(j, pool.Successor{ID: ro.ID(), Name: ro.Name(), Addrs: tk.Addrs}); err != nil {
		return PoolInfo{}, err
	}
	n.heirs.poke.poke()
	return n.home.poolInfo(HomePool{ID: ro.ID(), Path: j.Dir}), nil
}

// admitHeir lets a folder follow that could not, because its node had not been
// let into the pool which its own one goes on as.
func (n *Node) admitHeir(j PendingJoin, ro *pool.Roster) (PoolInfo, error) {
	if err := n.home.learn(ro); err != nil {
		return PoolInfo{}, err
	}
	n.heirs.poke.poke()
	return n.home.poolInfo(HomePool{ID: ro.ID(), Path: j.Dir}), nil
}

// PoolMerge has a pool of this node go on as the ticket's: its members are let
// in there, and each brings its folder along. It returns when this node's
// folder has followed; when ctx ends first, the merge goes on by itself.
func (n *Node) PoolMerge(ctx context.Context, ticket, name string) (PoolInfo, error) {
	p, err := n.home.NoteMerge(ctx, ticket, name)
	if err != nil {
		return PoolInfo{}, err
	}
	info, err := n.await(ctx, p)
	if err != nil {
		return info, err
	}
	for {
		for _, q := range n.home.Pools() {
			if q.ID.String() == info.ID && n.find(q.ID) != nil {
				return n.home.poolInfo(q), nil
			}
		}
		if !sleep(ctx, waitPoll) {
			return info, &Error{
				Code: "join_pending", Message: "the pool is merged, and this folder follows when it can", Exit: exitTimeout,
				Hint: `"meerkat status" says what it waits for`,
			}
		}
	}
}

// merging reports whether a merge of that pool into another one is under way.
func (j *joiner) merging(id event.PoolID) bool {
	for _, job := range j.open() {
		if job.From == id.String() {
			return true
		}
	}
	return false
}

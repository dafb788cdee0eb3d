package node

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/pubsub"
)

const textRemoved = "this node was removed from the pool; its folder stays as it is"

// amOut reports whether this node was removed from the pool.
func (r *replica) amOut() bool {
	_, out := r.st.Roster().Removed(r.self)
	return out
}

// seeks reports whether this node wants links to the pool's members: not when
// it was removed, but when it has left and they may not know.
func (r *replica) seeks() bool {
	return !r.amOut() || r.path == "" && !leftAt(r.st.Roster(), r.self).IsZero()
}

// Refused hears from the feed that a member does not speak with this node.
func (r *replica) Refused(p peer.ID, err error) {
	if !errors.Is(err, pubsub.ErrRemoved) {
		return
	}
	r.mu.Lock()
	r.refusedBy = p
	r.mu.Unlock()
	r.fateNow.poke()
}

// learnFate asks those who refuse this node for the records by which it is
// out, so that it knows and can tell its owner.
func (r *replica) learnFate(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.fateNow.c:
		}
		r.mu.Lock()
		p := r.refusedBy
		r.mu.Unlock()
		if r.amOut() {
			continue
		}
		answer, err := r.again(ctx, p, r.id)
		if err != nil || answer.Refused == nil || len(answer.Records) == 0 {
			r.log.Debug("why am I out", "pool", r.name(), "peer", p, "err", err)
			continue
		}
		if added, err := r.st.AddRecords(answer.Records); err != nil {
			r.log.Warn("removal", "pool", r.name(), "err", err)
		} else if added > 0 {
			r.rosterChanged()
		}
	}
}

// wayOut are the records by which p is out of the pool, and those that they
// build on: it was a member when they were made.
func wayOut(ro *pool.Roster, p peer.ID) [][]byte {
	recs := ro.Records()
	by := make(map[event.Hash]pool.Record, len(recs))
	var todo []event.Hash
	for _, rec := range recs {
		by[rec.Hash] = rec
		if rec.Act == pool.Remove && rec.Node == p {
			todo = append(todo, rec.Hash)
		}
	}
	wanted := map[event.Hash]bool{}
	for len(todo) > 0 {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !wanted[h] {
			wanted[h] = true
			todo = append(todo, by[h].Heads...)
		}
	}
	var out [][]byte
	for _, rec := range recs {
		if wanted[rec.Hash] {
			out = append(out, rec.Raw)
		}
	}
	return out
}

// judgeSelf draws the conclusions for this node itself from a roster that has
// changed: it is out, or back, or may write at last.
func (r *replica) judgeSelf() {
	switch {
	case r.amOut():
		r.halt(textRemoved)
	case r.mayWrite():
		if err := r.release(); err != nil {
			r.log.Warn("release local edits", "pool", r.name(), "err", err)
		}
	}
	// What a removal took away lies here without a row: it is found anew.
	r.markAll()
	r.applyNow.poke()
}

// expel closes the links to nodes that were removed and share no other pool:
// when they come back they are told.
func (n *Node) expel() {
	for _, p := range n.host.Network().Peers() {
		member, removed := false, false
		for _, r := range n.known() {
			member = member || r.Member(p)
			removed = removed || r.Removed(p)
		}
		if removed && !member {
			_ = n.host.Network().ClosePeer(p) // it is to be gone, and is
		}
	}
}

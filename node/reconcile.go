package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

const (
	scrubFirst = 10 * time.Second // after the start: the first scan goes first
	scrubEvery = 24 * time.Hour
)

// StateSums gives the sums of the parts of a range of the set of states.
func (r *replica) StateSums(in event.Range) ([event.FanOut]event.Sum, error) {
	return r.st.StateSums(in)
}

// StateItems lists the items of a range of the set of states.
func (r *replica) StateItems(in event.Range, most int) ([]event.Item, error) {
	return r.st.StateItems(in, most)
}

// Evidence gives the events that the states of some paths follow from.
func (r *replica) Evidence(keys []event.Key, most int) ([]event.Proved, []event.Key, error) {
	return r.st.Evidence(keys, most)
}

// Supplement verifies events that came on their own and makes them durable;
// the disk follows later. A bad one does not keep the others out.
func (r *replica) Supplement(_ context.Context, from peer.ID, evs []event.Proved) error {
	var bad, late error
	var ss []store.Supplement
	var alone []event.Segment // each event as if it were a segment
	for _, e := range evs {
		l, err := event.VerifyProof(r.id, e.Proof, e.Raw)
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("event from %s: %w", from, err))
			continue
		}
		if p := l.Dot.Writer.Node; r.putsOff(p) {
			late = r.late(p)
			continue
		}
		ss = append(ss, store.Supplement{Leaf: l, Proof: e.Proof})
		alone = append(alone, event.Segment{Pool: r.id, Writer: l.Dot.Writer, First: l.Dot.Seq, Leaves: []event.Leaf{l}})
	}
	mine := r.ownNews(alone)
	before, _ := r.st.NeedTotal()
	res, err := r.st.Supplement(ss...)
	after, _ := r.st.NeedTotal()
	r.charge(alone, after-before)
	r.bear(res.Burdens)
	if res.New > 0 {
		r.forgetTurns(res.Paths)
		err = errors.Join(err, r.seenSelf(mine))
		r.tell(slices.DeleteFunc(alone, func(s event.Segment) bool {
			return !slices.Contains(res.Paths, s.Leaves[0].Event.Path)
		}))
		r.mu.Lock()
		r.recent += res.New
		r.mu.Unlock()
		r.applyNow.poke()
		r.reportNow.poke()
	}
	return errors.Join(bad, late, err)
}

// scrubLoop recounts the states some time after the start and then daily, so
// that one that was damaged here shows when members compare.
func (r *replica) scrubLoop(ctx context.Context) error {
	for wait := scrubFirst; sleep(ctx, wait); wait = scrubEvery {
		faults, err := r.st.Scrub(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("recount states", "pool", r.name(), "err", err)
		}
		if len(faults) == 0 {
			continue
		}
		r.log.Warn("states repaired", "pool", r.name(), "faults", len(faults), "first", faults[0].String())
		r.applyNow.poke()
		r.heal(ctx)
	}
	return nil
}

// heal reconciles with the members that are connected: what was lost here is
// there.
func (r *replica) heal(ctx context.Context) {
	for _, l := range r.feed.Links(r.id) {
		if err := r.feed.Reconcile(ctx, r.id, l.Peer); err != nil && ctx.Err() == nil {
			r.log.Debug("reconcile", "pool", r.name(), "peer", l.Peer, "err", err)
		}
	}
}

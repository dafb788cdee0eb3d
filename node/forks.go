package node

import (
	"context"
	"math"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
)

// fork is what is known of a log that has two branches or more.
type fork struct {
	from uint64     // the branches part at this seq, or may do so
	hole bool       // where they part is not known yet
	head event.Head // its greatest seq, and a hash of the set of all its segments
}

// loadForks takes up the forks that the state knows of.
func (r *replica) loadForks() error {
	ws, err := r.st.Forked()
	if err != nil {
		return err
	}
	for _, w := range ws {
		if err := r.lookAtFork(w); err != nil {
			return err
		}
	}
	return nil
}

// lookAtFork reads a forked log anew.
func (r *replica) lookAtFork(w event.Writer) error {
	raws, err := r.st.After(w, 0, math.MaxInt)
	if err != nil {
		return err
	}
	f := fork{from: ^uint64(0), head: event.Head{Writer: w}}
	known := map[event.Hash]bool{{}: true}
	var all []event.Hash
	for _, raw := range raws {
		s, err := event.OpenSegment(r.id, raw)
		if err != nil {
			return err
		}
		switch {
		case !known[s.Prev]:
			f.from, f.hole = 1, true // where this branch begins is not here
		case s.First <= f.head.Seq:
			f.from = min(f.from, s.First)
		}
		known[s.Hash], all = true, append(all, s.Hash)
		f.head.Seq = max(f.head.Seq, s.Last())
	}
	f.head.Hash = digestOf(all)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forks == nil {
		r.forks = map[event.Writer]fork{}
	}
	if r.forks[w] != f {
		r.mendNow.poke()
	}
	if r.forks[w] = f; len(all) == 0 {
		delete(r.forks, w)
	}
	return nil
}

// mend shows the members online what is new of a forked log here, and gets
// from them what is missing of it, without waiting for the next exchange.
func (r *replica) mend(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.mendNow.c:
		}
		for _, p := range r.onlineMembers() {
			r.comparedWith(ctx, p)
		}
		r.applyNow.poke() // what a fork swallowed can be said again once it is whole
	}
}

// digestOf names a set of hashes.
func digestOf(hs []event.Hash) event.Hash {
	slices.SortFunc(hs, event.Hash.Compare)
	d := blake3.New()
	for _, h := range hs {
		_, _ = d.Write(h[:]) // never fails
	}
	return event.Hash(d.Sum(nil))
}

// forksIn reads anew the forked logs that segs belong to.
func (r *replica) forksIn(segs []event.Segment) error {
	seen := map[event.Writer]bool{}
	for _, s := range segs {
		if _, forked := r.Forked(s.Writer); forked && !seen[s.Writer] {
			seen[s.Writer] = true
			if err := r.lookAtFork(s.Writer); err != nil {
				return err
			}
		}
	}
	return nil
}

// Forked tells from which seq on the log of w has, or may have, two branches.
func (r *replica) Forked(w event.Writer) (from uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.forks[w]
	return f.from, ok
}

// Heads is how far each writer's log is known here. Two members have the same
// head of a forked log only when they have the same segments of it.
func (r *replica) Heads() []event.Head {
	heads := r.st.Heads()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, h := range heads {
		if f, ok := r.forks[h.Writer]; ok {
			heads[i] = f.head
		}
	}
	return heads
}

package node

import (
	"context"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// Heads is how far each writer's log is known here. Two members have the same
// head of a forked log only when they have the same segments of it.
func (r *replica) Heads() []event.Head { return r.st.Extents() }

// Forked tells from which seq on the log of w has, or may have, two branches.
func (r *replica) Forked(w event.Writer) (from uint64, ok bool) {
	f, ok := r.st.Fork(w)
	return f.From, ok
}

// Ends lists the segments of w that hold the seqs above seq.
func (r *replica) Ends(w event.Writer, seq uint64, most int) ([]event.Head, error) {
	return r.st.Ends(w, seq, most)
}

// Has tells whether the segment that h is the end of is here.
func (r *replica) Has(h event.Head) (bool, error) { return r.st.Has(h) }

// mendPause keeps a member that forks its log again and again from having
// everybody compare without end.
const mendPause = time.Second

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
		sleep(ctx, mendPause)
	}
}

package pubsub

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/bwaklog/meerkat/event"
)

const (
	maxDoubt              = 10 * time.Minute // longest pause between sessions with a member that bring nothing
	bearEvery, bearBursts = 2 * time.Second, 16
)

// doubt is what is known of a connected member's state where it differs from ours although the logs do not.
type doubt struct {
	since  time.Time // zero: it does not, or the logs differ
	next   time.Time // no session before
	fails  int       // sessions that did not help
	forced bool      // a session is wanted in any case
	served *rate.Limiter
}

// Reconcile compares with p now, first heads and then the state of all paths, and returns when both sides have the events that
// the other's state follows from. What a state differs in beyond the limits of a session comes in those after it. It needs a
// connection and a running feed, as [Feed.Repair] does.
func (f *Feed) Reconcile(ctx context.Context, pool event.PoolID, p peer.ID) error {
	r := f.room(pool)
	if r == nil {
		return fmt.Errorf("reconcile with %s: %w", p, ErrUnknownPool)
	}
	r.force(p)
	return f.Repair(ctx, pool, p)
}

func (r *room) doubtLocked(p peer.ID) *doubt {
	d := r.doubts[p]
	if d == nil {
		d = &doubt{served: rate.NewLimiter(rate.Every(bearEvery), bearBursts)}
		r.doubts[p] = d
	}
	return d
}

// force has the next exchange with p followed by a session.
func (r *room) force(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubtLocked(p).forced = true
}

// bears tells whether p may have a session here now.
func (r *room) bears(p peer.ID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doubtLocked(p).served.AllowN(now, 1)
}

// trust forgets a doubt: logs that differ explain other states.
func (r *room) trust(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.doubts[p]; d != nil {
		d.since = time.Time{}
	}
}

// compared notes whether p's state is ours, its heads being equal, and plans the next look where it is not.
func (r *room) compared(p peer.ID, same bool, now time.Time) {
	r.mu.Lock()
	d := r.doubtLocked(p)
	if same {
		d.since, d.next, d.fails = time.Time{}, time.Time{}, 0
		r.mu.Unlock()
		return
	}
	if d.since.IsZero() {
		d.since = now
	}
	at := d.since.Add(r.f.conf.Doubt)
	if d.next.After(at) {
		at = d.next
	}
	r.mu.Unlock()
	if at.After(now) {
		r.agenda.ask(p, at)
	}
}

// due tells whether a session with p is to be held, and whether somebody asked for it.
func (r *room) due(p peer.ID, now time.Time) (due, forced bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.doubts[p]
	if d == nil {
		return false, false
	}
	forced, d.forced = d.forced, false
	long := !d.since.IsZero() && now.Sub(d.since) >= r.f.conf.Doubt && !now.Before(d.next)
	return long || forced, forced
}

// settle holds a session with p where one is due. Only who asked for one hears that it failed: for others the exchange before
// it went well, and the next comparison brings the next try.
func (r *room) settle(ctx context.Context, p peer.ID) error {
	due, forced := r.due(p, time.Now())
	if !due {
		return nil
	}
	before := r.log.Summary()
	held, err := r.reconcileWith(ctx, p)
	news := r.log.Summary() != before
	r.held(p, held.cut && news, time.Now())
	r.f.log.Debug("reconciled", "pool", r.id, "peer", p, "news", news, "more", held.cut, "trips", held.trips, "bytes", held.bytes, "err", err)
	if news {
		r.spreadState(p)
	}
	if forced {
		return err
	}
	return nil
}

// held plans the next look at p: at once where a session brought something and did not bring all, else a heads exchange that
// tells whether it helped, and sessions later each time.
func (r *room) held(p peer.ID, again bool, now time.Time) {
	r.mu.Lock()
	d := r.doubtLocked(p)
	if again {
		d.next, d.fails = now, 0
	} else {
		d.next = now.Add(min(r.f.conf.Doubt<<min(d.fails, 10), maxDoubt))
		d.fails++
	}
	d.forced = again
	r.mu.Unlock()
	r.agenda.ask(p, now.Add(r.f.conf.Jitter))
}

// spreadState has the other neighbours compared with soon: what one lacked they may lack.
func (r *room) spreadState(but peer.ID) {
	for _, p := range r.connected() {
		if p != but {
			r.agenda.touch(p, time.Now().Add(r.f.conf.Jitter))
		}
	}
}

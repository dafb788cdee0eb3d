package node

import (
	"context"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// Burial is when tombstones are collected. The zero value takes the defaults.
type Burial struct {
	Keep  time.Duration // how old a tombstone must be; 30 days
	Lapse time.Duration // so long silent, a member is not waited for; 90 days
	Every time.Duration // between looks; 10 minutes, growing to a day while there is nothing to do
}

func (b Burial) withDefaults() Burial {
	if b.Keep == 0 {
		b.Keep = 30 * day
	}
	if b.Lapse == 0 {
		b.Lapse = 90 * day
	}
	if b.Every == 0 {
		b.Every = 10 * time.Minute
	}
	return b
}

// collectLoop collects tombstones that every member has, and that are old.
func (r *replica) collectLoop(ctx context.Context) error {
	b := r.ground.Burial.withDefaults()
	if r.licence.await(ctx) != nil {
		return nil
	}
	for wait := b.Every; sleep(ctx, wait); {
		done, err := r.collect(ctx, b, time.Now())
		if err != nil && ctx.Err() == nil {
			r.log.Warn("collect tombstones", "pool", r.name(), "err", err)
		}
		if wait = min(2*wait, max(day, b.Every)); done > 0 {
			wait = b.Every
		}
		wait = min(wait, b.next(time.Now()))
	}
	return nil
}

// grain is what the limit of age moves by: all members collect the same, at
// the same time, so that their sets of states stay equal. A day, by default.
func (b Burial) grain() time.Duration { return b.Keep / 30 }

// before is the limit of age.
func (b Burial) before(now time.Time) time.Time { return now.Truncate(b.grain()).Add(-b.Keep) }

// next is how long it is until the limit moves.
func (b Burial) next(now time.Time) time.Duration {
	return now.Truncate(b.grain()).Add(b.grain() + time.Second).Sub(now)
}

// collect looks once.
func (r *replica) collect(ctx context.Context, b Burial, now time.Time) (int, error) {
	known, ok := r.knownToAll(now.Add(-b.Lapse))
	if !ok {
		return 0, nil
	}
	done, left, err := r.st.Collect(ctx, store.Ripe{Before: event.HLCOf(b.before(now)), Known: known})
	if done > 0 {
		r.log.Info("tombstones collected", "pool", r.name(), "collected", done, "left", left)
	}
	return done, err
}

// knownToAll is what every member has, by what each last said; false where one
// has not said anything yet. A member that has been silent since lapsed is not
// waited for: the logs that it will get hold the deletions all the same.
func (r *replica) knownToAll(lapsed time.Time) (event.Vector, bool) {
	all := event.Vector{}
	for _, h := range r.st.Heads() {
		all[h.Writer] = h.Seq
	}
	for _, m := range r.st.Roster().Members() {
		if m.ID == r.self {
			continue
		}
		rep := r.reports.get(m.ID)
		switch {
		case rep == nil && m.Since.Time().Before(lapsed):
		case rep == nil:
			return nil, false
		case rep.Time.Time().After(lapsed):
			meet(all, rep)
		}
	}
	return all, true
}

// meet lowers v to what rep says its author has.
func meet(v event.Vector, rep *report) {
	for w, seq := range v {
		if has := rep.Heads[w]; has == 0 {
			delete(v, w)
		} else {
			v[w] = min(seq, has)
		}
	}
}

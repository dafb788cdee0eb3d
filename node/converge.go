package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

const (
	// roundMost is how many needs are planned together: a rename is seen as one
	// only within a round.
	roundMost = 8192
	planMost  = 1024 // needs that are looked up together
	applyMost = 1024 // steps of one Apply
	// floodEvents in one go means that more are coming: waiting a moment lets
	// renames meet.
	floodEvents = 64
	floodPause  = 60 * time.Millisecond
	floodMost   = 1500 * time.Millisecond
	blockedWait = 10 * time.Second
	nobodyWait  = 3 * time.Second
)

const (
	reasonIgnored = store.Ignored
	reasonNobody  = "unavailable"
	reasonChanged = "changed"
)

// convergeLoop makes the folder as the pool wants it, whenever the two differ. Its error is errStray.
func (r *replica) convergeLoop(ctx context.Context) error {
	defer r.flights.all.Wait()
	var t turns
	var blocked blockade
	for {
		r.applies.begin("looking at what is wanted", 0)
		wait, err := r.unlessPaused(ctx, &t, &blocked)
		r.applies.rest()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errStray) {
			return err
		}
		if err != nil {
			r.log.Warn("apply", "pool", r.name(), "err", err)
			wait = blockedWait
		}
		if !r.awaitApply(ctx, wait) {
			return nil
		}
	}
}

// awaitApply waits for a nudge, or for d where it is not zero.
func (r *replica) awaitApply(ctx context.Context, d time.Duration) bool {
	var retry <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		retry = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-r.applyNow.c:
	case <-retry:
	}
	return true
}

// convergeTurn works off all needs that can be worked off now, and says when
// to look again though nothing happens.
func (r *replica) convergeTurn(ctx context.Context, b *blockade) (time.Duration, error) {
	if !r.scanned() {
		return 0, nil // the folder is looked at before it is touched
	}
	if !r.guarded() {
		return guardEvery, nil
	}
	if err := r.strayed(); err != nil {
		return 0, err
	}
	if err := r.rescue(); err != nil {
		return 0, err
	}
	if err := errors.Join(r.letFloodPass(ctx), r.reclaim()); err != nil {
		return 0, err
	}
	next, err := r.settleDue()
	if err != nil {
		return 0, err
	}
	b.begin(r.someoneCame.Swap(false))
	did, left, err := r.workOff(ctx, b)
	if wait := b.end(did, left); left > 0 {
		next = sooner(next, wait)
	}
	return next, err
}

// met wakes what waits for a member: one came or went. It never blocks.
func (r *replica) met() {
	r.someoneCame.Store(true)
	r.licence.met.poke()
	r.applyNow.poke()
	r.reportNow.poke()
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b < a {
		return b
	}
	return a
}

// letFloodPass waits while many events are coming in, so that the two halves
// of a rename are planned together. What is news does not wait for that.
func (r *replica) letFloodPass(ctx context.Context) error {
	end := time.Now().Add(floodMost)
	for r.takeRecent() > floodEvents && time.Now().Before(end) {
		if _, _, err := r.bringNews(ctx); err != nil || !sleep(ctx, floodPause) {
			return err
		}
	}
	return nil
}

func (r *replica) takeRecent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.recent
	r.recent = 0
	return n
}

func (r *replica) scanned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// workOff goes through all needs once, again and again while that changes
// something; it returns how many were done, and how many wait for something
// else.
func (r *replica) workOff(ctx context.Context, b *blockade) (all, left int, err error) {
	defer r.setApplying(false)
	for retry := b.trial; ; retry = false {
		did := 0
		left = 0
		for after := event.Path(""); ; {
			_, n, err := r.bringNews(ctx)
			did += n
			if err != nil {
				return all + did, left, err
			}
			needs := r.st.Needs(after, roundMost)
			if len(needs) == 0 {
				break
			}
			after = needs[len(needs)-1].Path
			r.applies.begin("planning", 0)
			n, waits, err := r.round(ctx, needs, quickLane, func(n store.Need) bool {
				return n.Reason == "" || retry && b.picks(n.Path)
			})
			did, left = did+n, left+waits
			if err != nil {
				return all + did, left, err
			}
		}
		all += did
		if did == 0 || ctx.Err() != nil {
			return all, left, ctx.Err()
		}
	}
}

// round plans the needs that are to be tried together and carries them out; it
// returns how many were done and how many wait. beside is the lane of what has
// to be fetched while much is on its way.
func (r *replica) round(ctx context.Context, needs []store.Need, beside laneKind, try func(store.Need) bool) (did, waits int, err error) {
	o := order{fresh: beside == freshLane}
	tried := slices.DeleteFunc(slices.Clone(needs), func(n store.Need) bool {
		if r.nobodysNeed(n) {
			return true
		}
		later := !try(n) || r.flights.on(n.Path)
		if later {
			waits++
		}
		return later
	})
	for part := range slices.Chunk(tried, planMost) {
		if err := errors.Join(o.add(r, part), r.rush(ctx, &o)); err != nil {
			return o.rushed, waits, err
		}
	}
	ready, fetch := r.split(folder.Plan(o.wants))
	n, lacking, err := r.applyAll(ctx, ready, &o)
	if err != nil {
		return o.rushed + n, waits, err
	}
	m, err := r.fetchAll(ctx, o.still(append(fetch, lacking...)), o.views, beside)
	return o.rushed + n + m, waits + len(o.wants) - n - m, err
}

// nobodysNeed says whether n waits until somebody changes something about it.
func (r *replica) nobodysNeed(n store.Need) bool {
	return n.Reason == reasonIgnored || n.Reason == reasonHeld && r.holdBursts() || n.Reason == reasonLocal && !r.mayWrite()
}

func (r *replica) setApplying(on bool) {
	r.mu.Lock()
	r.applying = on
	r.mu.Unlock()
}

// inParallel runs f on each task, at most n at once.
func inParallel[T any](ctx context.Context, n int, tasks []T, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(n)
	for _, t := range tasks {
		g.Go(func() error { return f(ctx, t) })
	}
	return g.Wait()
}

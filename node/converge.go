package node

import (
	"context"
	"errors"
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
	r.letFloodPass(ctx)
	if err := r.reclaim(); err != nil {
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
// of a rename are planned together.
func (r *replica) letFloodPass(ctx context.Context) {
	end := time.Now().Add(floodMost)
	for r.takeRecent() > floodEvents && time.Now().Before(end) {
		if !sleep(ctx, floodPause) {
			return
		}
	}
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
			n, err := r.bringNews(ctx)
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
	var o order
	for _, n := range needs {
		if n.Reason == reasonIgnored || n.Reason == reasonHeld && r.holdBursts() || n.Reason == reasonLocal && !r.mayWrite() {
			continue
		}
		if !try(n) || r.flights.on(n.Path) {
			waits++
			continue
		}
		if err := o.add(r, n); err != nil {
			return 0, 0, err
		}
	}
	if len(o.wants) == 0 {
		return 0, waits, nil
	}
	ready, fetch := r.split(folder.Plan(o.wants))
	n, lacking, err := r.applyAll(ctx, ready, o.views)
	if err != nil {
		return n, waits, err
	}
	m, err := r.fetchAll(ctx, append(fetch, lacking...), o.views, beside)
	return n + m, waits + len(ready) + len(fetch) - n - m, err
}

// order is what one round wants.
type order struct {
	wants []folder.Want
	views map[event.Path]event.View
}

// add looks up what has to be known about one need.
func (o *order) add(r *replica, n store.Need) error {
	view, err := r.st.View(n.Path)
	if err != nil {
		return err
	}
	have, known, err := r.st.Have(n.Path)
	if err != nil {
		return err
	}
	v := view.Value
	if on, _ := r.fold.Ignored(n.Path, v.Kind == event.Dir || have.Known.Value.Kind == event.Dir); on {
		return r.st.SetReason(n.Path, reasonIgnored, "")
	}
	if r.holdsNeed(view, have, known) {
		return r.st.SetReason(n.Path, reasonHeld, "its author changed very much in a short time")
	}
	w := folder.Want{
		Path: n.Path, Value: v,
		Have: folder.Have{Value: have.Known.Value, Stat: folderStat(have.Stat), Exists: known},
	}
	if v.Kind == event.File && v.Size > 0 && !(known && v.SameContent(have.Known.Value)) {
		if w.Local, err = r.localCopies(v); err != nil {
			return err
		}
	}
	if o.views == nil {
		o.views = map[event.Path]event.View{}
	}
	o.wants, o.views[n.Path] = append(o.wants, w), view
	return nil
}

// localCopies lists files on this disk that hold the whole content of v.
func (r *replica) localCopies(v event.Value) ([]folder.Local, error) {
	homes, err := r.st.Copies(v.Root, 4)
	if err != nil {
		return nil, err
	}
	var out []folder.Local
	for _, h := range homes {
		l := folder.Local{Place: folder.Place{Path: h.Path, Version: h.Version}}
		if !h.Version {
			have, ok, err := r.st.Have(h.Path)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			l.Stat = folderStat(have.Stat)
		}
		out = append(out, l)
	}
	return out, nil
}

// split separates what can be applied from what has to be fetched first. That may be a list of chunks alone: of some versions
// none is known.
func (r *replica) split(steps []folder.Step) (ready, fetch []folder.Step) {
	for _, s := range steps {
		_, listed := r.manifestOf(s.Want)
		if s.How == folder.Fetch || s.Want.Kind == event.File && !listed {
			fetch = append(fetch, s)
		} else {
			ready = append(ready, s)
		}
	}
	return ready, fetch
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

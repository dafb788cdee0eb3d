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

// convergeLoop makes the folder as the pool wants it, whenever the two differ.
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
			needs := r.st.Needs(after, roundMost)
			if len(needs) == 0 {
				break
			}
			after = needs[len(needs)-1].Path
			r.applies.begin("planning", 0)
			n, waits, err := r.round(ctx, needs, func(n store.Need) bool {
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
// returns how many were done and how many wait.
func (r *replica) round(ctx context.Context, needs []store.Need, try func(store.Need) bool) (did, waits int, err error) {
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
	ready, fetch := o.split(folder.Plan(o.wants))
	n, lacking, err := r.applyAll(ctx, ready, o.views)
	if err != nil {
		return n, waits, err
	}
	m, err := r.fetchAll(ctx, append(fetch, lacking...), o.views)
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

// split separates what can be applied from what has to be fetched first.
func (o *order) split(steps []folder.Step) (ready, fetch []folder.Step) {
	for _, s := range steps {
		if s.How == folder.Fetch {
			fetch = append(fetch, s)
		} else {
			ready = append(ready, s)
		}
	}
	return ready, fetch
}

// applyAll applies steps in batches and counts those that are done. lacking are
// those whose content turned out not to be on this disk.
func (r *replica) applyAll(ctx context.Context, steps []folder.Step, views map[event.Path]event.View) (did int, lacking []folder.Step, err error) {
	for _, part := range chunksOf(steps, applyMost) {
		r.applies.begin("applying", sizeOf(part)+r.staging.Load()) // those of flights come first
		n, none, err := r.apply(ctx, part, views)
		did, lacking = did+n, append(lacking, none...)
		if err != nil {
			return did, lacking, err
		}
	}
	return did, lacking, nil
}

// chunksOf cuts steps into parts of at most n. Moves and the steps they take
// from must stay together, so a plan with moves is not cut.
func chunksOf(steps []folder.Step, n int) [][]folder.Step {
	for _, s := range steps {
		if s.How == folder.Move && len(steps) > 0 {
			return [][]folder.Step{steps}
		}
	}
	var out [][]folder.Step
	for len(steps) > n {
		out = append(out, steps[:n])
		steps = steps[n:]
	}
	if len(steps) > 0 {
		out = append(out, steps)
	}
	return out
}

// apply carries out one batch and makes the index follow. The disk is held
// from the moment when names begin to change until the index says so too.
func (r *replica) apply(ctx context.Context, steps []folder.Step, views map[event.Path]event.View) (int, []folder.Step, error) {
	r.setApplying(true)
	bytes := min(sizeOf(steps), mostBytes)
	defer r.staging.Add(-bytes)
	defer r.batches.begin("applying", r.staging.Add(bytes))() // one batch after the other
	held := false
	defer func() {
		if held {
			r.disk.Unlock()
		}
	}()
	outcomes, err := r.fold.Apply(ctx, steps, folder.Options{
		Begin: func(steps []folder.Step) error {
			r.disk.Lock()
			held = true
			return r.st.Begin(intents(steps))
		},
		Known: func(p event.Path) bool {
			_, ok, err := r.st.Have(p)
			return ok && err == nil
		},
		Ignored: func(p event.Path, dir bool) bool {
			on, _ := r.fold.Ignored(p, dir)
			return on
		},
	})
	if err != nil {
		var g *folder.GuardError
		if errors.As(err, &g) {
			r.halt(err.Error())
		}
		return 0, nil, err
	}
	n, err := r.follow(steps, outcomes, views)
	return n, r.lacking(steps, outcomes), err
}

// lacking are the steps for which no place on this disk held the content;
// where it was believed to be is looked at again.
func (r *replica) lacking(steps []folder.Step, outcomes []folder.Outcome) []folder.Step {
	var out []folder.Step
	for i, o := range outcomes {
		if o.Result != folder.Lacking {
			continue
		}
		for _, from := range steps[i].From {
			if !from.Version {
				r.markDirty(from.Path, false)
			}
		}
		out = append(out, steps[i])
	}
	return out
}

func intents(steps []folder.Step) []store.Intent {
	out := make([]store.Intent, 0, len(steps))
	for _, s := range steps {
		out = append(out, store.Intent{Path: s.Path, Old: s.Have.Value, New: s.Want, OldStat: storeStat(s.Have.Stat)})
	}
	return out
}

// follow makes the index say what Apply did.
func (r *replica) follow(steps []folder.Step, outcomes []folder.Outcome, views map[event.Path]event.View) (int, error) {
	tx := store.Tx{Put: make(map[event.Path]store.Have, len(outcomes))}
	var notes []note
	for i, o := range outcomes {
		tx.Close = append(tx.Close, o.Path)
		if o.Version != nil && !o.Version.Root.IsZero() {
			tx.AddVersions = append(tx.AddVersions, store.Version{Path: o.Version.Path, Root: o.Version.Root})
		}
		for _, p := range o.Dirty {
			r.markDirty(p, false)
		}
		switch o.Result {
		case folder.Done, folder.Kept:
			r.quota.give(views[o.Path].Author, 1)
			tx.Put[o.Path] = store.Have{Known: knownOf(views[o.Path]), Stat: storeStat(o.Stat), Racy: o.Racy}
			if m, ok := r.manifestOf(steps[i].Want); ok {
				tx.Manifests = append(tx.Manifests, m)
			}
		case folder.Blocked:
			notes = append(notes, note{o.Path, o.Problem.Code, o.Problem.Message})
		case folder.Waits, folder.Changed:
			if r.stubborn.again(o.Path, time.Now()) {
				notes = append(notes, stubbornNote(o))
			}
			continue
		case folder.Lacking:
		}
		r.stubborn.over(o.Path)
	}
	if _, err := r.st.Commit(tx); err != nil {
		return 0, err
	}
	r.reportNow.poke()
	return len(tx.Put), r.note0(notes)
}

// note is why one path waits.
type note struct {
	path            event.Path
	reason, message string
}

// stubbornNote says why a path is tried again later, and not at once.
func stubbornNote(o folder.Outcome) note {
	if o.Result == folder.Waits && o.Problem.Code != "" {
		return note{o.Path, o.Problem.Code, o.Problem.Message}
	}
	return note{o.Path, reasonChanged, "what stands there is not what this node knows of it"}
}

func (r *replica) note0(notes []note) error {
	if len(notes) == 0 {
		return nil
	}
	needs := make([]store.Need, 0, len(notes))
	for _, n := range notes {
		needs = append(needs, store.Need{Path: n.path, Reason: n.reason, Message: n.message})
	}
	return r.st.SetReasons(needs)
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

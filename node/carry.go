package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// applyAll applies steps of o in batches and counts those that are done. lacking are
// those whose content turned out not to be on this disk. What is news goes before the next batch.
func (r *replica) applyAll(ctx context.Context, steps []folder.Step, o *order) (did int, lacking []folder.Step, err error) {
	for _, part := range chunksOf(steps, applyMost) {
		if err := r.rush(ctx, o); err != nil {
			return did, lacking, err
		}
		part = o.still(part)
		r.applies.begin("applying", sizeOf(part)+r.staging.Load()) // those of flights come first
		n, none, err := r.apply(ctx, part, o.views, nil)
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

// apply carries out one batch and makes the index follow; lists are those that were fetched for it. A batch of a few goes
// before those that wait. The disk is held from the moment when names begin to change until the index says so too.
func (r *replica) apply(ctx context.Context, steps []folder.Step, views map[event.Path]event.View, lists manifests) (int, []folder.Step, error) {
	r.setApplying(true)
	bytes := min(sizeOf(steps), mostBytes)
	defer r.staging.Add(-bytes)
	defer r.batches.begin("applying", r.staging.Add(bytes))() // one batch after the other
	defer r.applyTurn.pass(len(steps) <= newsFew)()
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
			if r.stray != nil {
				return r.stray
			}
			return r.st.Begin(intents(steps), lists.of(steps)...)
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

// errStray says that the folder was changed and the index could not follow. What a scan met then would pass for a
// person's edits, so this replica does nothing more: the next one begins with the intents that are still open.
var errStray = errors.New("what was done to the folder could not be noted")

// strayed is errStray with its cause, once that has happened.
func (r *replica) strayed() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	return r.stray
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
		r.stray = fmt.Errorf("%w: %w", errStray, err)
		return 0, r.stray
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

package node

import (
	"context"
	"errors"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

const (
	pruneEvery = 24 * time.Hour
	day        = 24 * time.Hour
)

// pruneLoop deletes versions that are older, or take more space, than the
// settings allow: at the start, once a day, and when the settings change.
func (r *replica) pruneLoop(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := r.prune(time.Now()); err != nil {
			r.log.Warn("prune versions", "pool", r.name(), "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-r.pruneNow.c:
		}
	}
}

// prune deletes what is too old or too much now, from the disk and then from
// the store.
func (r *replica) prune(now time.Time) error {
	if r.fold.Check() != nil {
		return nil // the pool is halted or about to be
	}
	s := r.settings()
	gone, err := r.fold.Prune(now, time.Duration(s.TrashDays)*day, s.TrashMax)
	if len(gone) == 0 {
		return err
	}
	paths := make(map[event.Path]bool, len(gone))
	for _, v := range gone {
		paths[v.Path] = true
	}
	var tx store.Tx
	if err := r.st.Versions(func(v store.Version) bool {
		if paths[v.Path] {
			tx.DropVersions = append(tx.DropVersions, v)
		}
		return true
	}); err != nil {
		return err
	}
	if _, err := r.st.Commit(tx); err != nil {
		return err
	}
	r.log.Info("versions pruned", "pool", r.name(), "versions", len(gone))
	return err
}

// cleanTmp clears out what earlier runs left unfinished and nobody wants.
func (r *replica) cleanTmp() {
	wanted := map[chunker.ID]bool{}
	for after := event.Path(""); ; {
		needs := r.st.Needs(after, roundMost)
		if len(needs) == 0 {
			break
		}
		after = needs[len(needs)-1].Path
		for _, n := range needs {
			if v, err := r.st.View(n.Path); err == nil && v.Value.Kind == event.File {
				wanted[v.Value.Root] = true
			}
		}
	}
	_, kept, err := r.fold.CleanTmp(time.Now(), func(id chunker.ID) bool { return wanted[id] })
	if err = errors.Join(err, r.noteKept(kept)); err != nil {
		r.log.Warn("clean up", "pool", r.name(), "err", err)
	}
}

// rescue notes what was displaced from its path before and came to the versions only now. It may be the last copy of what a
// conflict copy has to hold.
func (r *replica) rescue() error { return r.noteKept(r.fold.Rescue(time.Now())) }

// noteKept makes the store know versions, and has what waited for their content be tried again.
func (r *replica) noteKept(vs []folder.Version) error {
	var tx store.Tx
	for _, v := range vs {
		if !v.Root.IsZero() {
			tx.AddVersions = append(tx.AddVersions, store.Version{Path: v.Path, Root: v.Root})
		}
	}
	if len(tx.AddVersions) == 0 {
		return nil
	}
	if _, err := r.st.Commit(tx); err != nil {
		return err
	}
	return r.st.ClearReasons(reasonNobody)
}

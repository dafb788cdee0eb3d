package node

import (
	"context"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// recover looks at what a crash left half done: a file that is neither the old
// nor the new one is damage, set aside and fetched again, never an edit.
func (r *replica) recover(ctx context.Context) error {
	open, err := r.st.Intents()
	if err != nil {
		return err
	}
	in := make([]folder.Intent, 0, len(open))
	for _, i := range open {
		in = append(in, folder.Intent{Path: i.Path, Old: i.Old, New: i.New, OldStat: folderStat(i.OldStat)})
	}
	found, err := r.fold.Recover(ctx, in)
	if err != nil {
		return err
	}
	var tx store.Tx
	for i, f := range found {
		if err := r.recovered(&tx, open[i], f); err != nil {
			return err
		}
	}
	_, err = r.st.Commit(tx)
	return err
}

// recovered makes the index say what was found at one open intent.
func (r *replica) recovered(tx *store.Tx, in store.Intent, f folder.Recovered) error {
	if f.Version != nil && !f.Version.Root.IsZero() {
		tx.AddVersions = append(tx.AddVersions, store.Version{Path: f.Version.Path, Root: f.Version.Root})
	}
	tx.Close = append(tx.Close, f.Path)
	r.log.Info("after a crash", "path", f.Path, "found", f.Fate.String())
	switch f.Fate {
	case folder.Applied:
		view, err := r.st.View(f.Path)
		if err != nil {
			return err
		}
		k := event.Known{Value: in.New}
		if view.Value.Same(in.New) {
			k = knownOf(view)
		}
		if tx.Put == nil {
			tx.Put = map[event.Path]store.Have{}
		}
		tx.Put[f.Path] = store.Have{Known: k, Stat: storeStat(f.Stat)}
	case folder.Damaged:
		r.setProblem(Problem{Path: string(f.Path), Code: "damaged", Message: "a crash had damaged this file; it is fetched again"})
		tx.Put = putTomb(tx.Put, f.Path)
	case folder.Untouched, folder.Edited:
	}
	return nil
}

// putTomb makes the index say that a path is clear though the pool has a value
// there: it is fetched, and its absence is no deletion.
func putTomb(m map[event.Path]store.Have, p event.Path) map[event.Path]store.Have {
	if m == nil {
		m = map[event.Path]store.Have{}
	}
	m[p] = store.Have{Known: event.Known{Value: event.Value{Kind: event.Tomb}}}
	return m
}

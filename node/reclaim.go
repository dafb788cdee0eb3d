package node

import (
	"fmt"
	"math"
	"slices"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// reclaimedKey remembers that this node has said again what a fork of its own
// log had swallowed.
func reclaimedKey(w event.Writer) string { return fmt.Sprintf("reclaimed/%x", w.Epoch) }

// reclaim says again, as the writer that this node is now, what it had said on
// its branch of a log that forked: the other branch goes by the same numbers,
// so that an event there covers one here which its author never saw.
func (r *replica) reclaim() error {
	for _, w := range r.ownForks() {
		if _, done, err := r.st.Get(reclaimedKey(w)); done || err != nil || !r.mayWrite() || !r.licence.held() {
			return err
		}
		if err := r.reclaimLog(w); err != nil {
			return fmt.Errorf("reclaim the fork of %s: %w", w.Node, err)
		}
		if err := r.st.Set(reclaimedKey(w), []byte{1}); err != nil {
			return err
		}
	}
	return nil
}

// ownForks are this node's logs of which is known where they part.
func (r *replica) ownForks() []event.Writer {
	var out []event.Writer
	for _, f := range r.st.Forks() {
		if w := f.Head.Writer; w.Node == r.self && !f.Hole {
			out = append(out, w)
		}
	}
	return out
}

func (r *replica) reclaimLog(w event.Writer) error {
	r.disk.Lock()
	defer r.disk.Unlock()
	from, _ := r.Forked(w)
	last, err := r.lastWords(w, from)
	if err != nil {
		return err
	}
	var drafts []event.Event
	for p, l := range last {
		s, err := r.st.State(p)
		if err != nil {
			return err
		}
		said := slices.ContainsFunc(s.Live, func(o event.Leaf) bool { return o.Event.Value.SameContent(l.Event.Value) })
		if said || !l.Event.Value.Live() {
			continue
		}
		base := l.Event.Ctx.Clone()
		if base[w] >= from {
			base[w] = from - 1
		}
		if base[w] == 0 {
			delete(base, w)
		}
		drafts = append(drafts, event.Change(p, event.Known{Base: base}, l.Event.Value, r.clock.Now()))
	}
	slices.SortFunc(drafts, func(a, b event.Event) int { return folder.ComparePaths(a.Path, b.Path) })
	segs, _, err := r.seal(drafts)
	if err != nil || len(segs) == 0 {
		return err
	}
	r.log.Info("said again after a fork", "pool", r.name(), "changes", len(drafts))
	return r.commit(store.Tx{Segments: segs})
}

// lastWords are the last events of each path on this node's own branch of a
// forked log: the trunk, since nothing else was there when they were signed.
func (r *replica) lastWords(w event.Writer, from uint64) (map[event.Path]event.Leaf, error) {
	head, _ := r.st.Head(w)
	raws, err := r.st.After(w, from-1, math.MaxInt)
	if err != nil {
		return nil, err
	}
	out := map[event.Path]event.Leaf{}
	for want, i := head.Hash, len(raws)-1; i >= 0; i-- {
		s, err := event.OpenSegment(r.id, raws[i])
		if err != nil {
			return nil, err
		}
		if s.Hash != want {
			continue // the other branch
		}
		want = s.Prev
		for _, l := range slices.Backward(s.Leaves) {
			if _, later := out[l.Event.Path]; l.Raw != nil && !later {
				out[l.Event.Path] = l
			}
		}
	}
	return out, nil
}

package node

import (
	"slices"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// heritage is what a pool that was merged into this one knew of a file here.
type heritage struct {
	stale bool        // that pool had left it behind already
	known event.Known // what it was made of: zero, or what this pool has there now
	when  event.HLC   // when it was made; the greatest where that is not known
}

// inherit asks the pools that were merged into this one about a file that this
// one's index knows nothing of. So an edit that was made there of what this
// pool now has is no conflict, and what was replaced there does not come back.
// The caller holds the disk.
func (r *replica) inherit(p event.Path, now event.Value, view event.View) (heritage, error) {
	h := heritage{when: ^event.HLC(0)}
	for _, e := range r.elders {
		have, known, err := e.st.Have(p)
		if err != nil {
			return h, err
		}
		if !known || !have.Known.Value.Live() {
			continue
		}
		was, err := e.st.View(p)
		if err != nil {
			return h, err
		}
		return e.judgeHeir(r, p, now, view, have.Known, was)
	}
	return h, nil
}

// judgeHeir is inherit for the one elder e that had the path on this disk, as
// had, where it stands as was.
func (e *replica) judgeHeir(r *replica, p event.Path, now event.Value, view event.View, had event.Known, was event.View) (heritage, error) {
	h := heritage{when: ^event.HLC(0)}
	current := had.Value.SameContent(was.Value)
	untouched := now.SameContent(had.Value)
	if untouched && !current {
		newer, err := r.hasSeen(p, was.Value, view)
		h.stale = !was.Value.Live() || newer
		return h, err
	}
	if h.known.Prev = had.Prev; untouched {
		h.when, h.known.Prev = was.HLC, was.Prev
	} else if had.Value.Kind != event.Dir {
		h.known.Prev = append([]chunker.ID{had.Value.Content()}, had.Prev...)
	}
	if !view.Value.Live() {
		return h, nil
	}
	made, err := e.madeOf(p, view.Value.Content(), had, current)
	if made {
		h.known = knownOf(view)
		h.when = ^event.HLC(0) // it comes after what stands there
	}
	return h, err
}

// hasSeen reports whether this pool has, or had, v at p.
func (r *replica) hasSeen(p event.Path, v event.Value, view event.View) (bool, error) {
	if view.Value.Live() && v.SameContent(view.Value) {
		return true, nil
	}
	if v.Kind == event.Dir || view.CDot.IsZero() {
		return false, nil
	}
	return r.hadOnce(p, v.Content())
}

// madeOf reports whether what lies here was made of that content, as far as e
// knows: it is what e had here, or one that e had before.
func (e *replica) madeOf(p event.Path, content chunker.ID, had event.Known, current bool) (bool, error) {
	if had.Value.Kind == event.Dir {
		return false, nil
	}
	if content == had.Value.Content() || slices.Contains(had.Prev, content) {
		return true, nil
	}
	if !current {
		return false, nil // what e knows may be newer than this
	}
	return e.hadOnce(p, content)
}

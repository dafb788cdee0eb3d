package pool

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// history is what the roster says of one node, from first to last.
type history struct {
	Member
	removed bool
	spans   []span
}

// span is a time in which the node may write. The writers with an epoch of at
// least from, and below the next span's, belong to it. When it has ended, cut
// is how much of them counts.
type span struct {
	from  uint64
	ended bool
	by    set // the records that ended it
	cut   event.Vector
}

// derive applies the entries that hold, in order.
func (r *Roster) derive(marks []mark) {
	for i := range r.g.entries {
		if marks[i] != holds {
			continue
		}
		e := &r.g.entries[i]
		switch e.Act {
		case Genesis:
			r.name = e.Name
			r.join(e, e.nodeName)
		case Admit:
			r.join(e, e.Name)
		case SetRole:
			r.setRole(i, e)
		case Remove:
			r.remove(i, e)
		case Revoke:
			r.revoked[e.Ticket] = true
		case Rename:
			r.rename(e)
		case Merge:
			if r.into == nil {
				r.into = &e.Into
			}
		}
	}
}

// join makes e.Node a member. Of two concurrent admissions the later in the
// order decides role and name.
func (r *Roster) join(e *entry, name string) {
	h := r.nodes[e.Node]
	if h == nil {
		h = &history{removed: true}
		r.nodes[e.Node] = h
	}
	if h.removed {
		h.Since = e.HLC
	}
	h.ID, h.Name, h.Role, h.removed = e.Node, name, e.Role, false
	if h.Role.Writes() {
		h.begin(e.HLC)
	}
}

func (r *Roster) setRole(i int, e *entry) {
	h := r.nodes[e.Node]
	if h == nil || h.removed {
		return
	}
	h.Role = e.Role
	if h.Role.Writes() {
		h.begin(e.HLC)
	} else {
		h.end(i, e)
	}
}

func (r *Roster) remove(i int, e *entry) {
	if h := r.nodes[e.Node]; h != nil {
		h.removed = true
		h.end(i, e)
	}
}

func (r *Roster) rename(e *entry) {
	if e.Node == "" {
		r.name = e.Name
	} else if h := r.nodes[e.Node]; h != nil {
		h.Name = e.Name
	}
}

// begin opens a span. The first has room for every epoch; a later one begins
// at t, or behind the newest epoch that an earlier cut names.
func (h *history) begin(t event.HLC) {
	n := len(h.spans)
	if n == 0 {
		h.spans = append(h.spans, span{})
		return
	}
	last := &h.spans[n-1]
	if !last.ended {
		return
	}
	from := max(uint64(t), last.from+1)
	for w := range last.cut {
		from = max(from, w.Epoch+1)
	}
	h.spans, h.Epoch = append(h.spans, span{from: from}), from
}

// end closes the open span with e's cut. A record that closes it concurrently
// with the one before lowers the cut to the smaller of both.
func (h *history) end(i int, e *entry) {
	if len(h.spans) == 0 {
		return
	}
	s := &h.spans[len(h.spans)-1]
	switch {
	case !s.ended:
		s.ended, s.cut, s.by = true, e.Cut, newSet(len(e.past)*64)
		s.by.add(i)
	case !e.past.hasAll(s.by):
		s.cut = lower(s.cut, e.Cut)
		s.by.add(i)
	}
}

// lower is the pointwise minimum.
func lower(a, b event.Vector) event.Vector {
	out := event.Vector{}
	for w, n := range a {
		if m := min(n, b[w]); m > 0 {
			out[w] = m
		}
	}
	return out
}

// MayWrite says why the seq-th event of w does not count: ErrNotMember,
// ErrRole, or ErrRemoved when it lies beyond what a removal, or the loss of
// the right to write, left standing. What w wrote before that stays good for
// ever. A node that is back in the pool, and gets ErrRemoved for its own
// writer, opens a new epoch, not below Member.Epoch.
func (r *Roster) MayWrite(w event.Writer, seq uint64) error {
	h := r.nodes[w.Node]
	if h == nil {
		return fmt.Errorf("%s: %w", w.Node, ErrNotMember)
	}
	if s := h.spanOf(w.Epoch); s != nil && (!s.ended || seq <= s.cut[w]) {
		return nil
	}
	if !h.removed && !h.Role.Writes() {
		return fmt.Errorf("%s is a %s: %w", w.Node, h.Role, ErrRole)
	}
	return fmt.Errorf("%s, event %d: %w", w, seq, ErrRemoved)
}

// spanOf is the last span that begins at or before the epoch.
func (h *history) spanOf(epoch uint64) *span {
	for i := len(h.spans) - 1; i >= 0; i-- {
		if h.spans[i].from <= epoch {
			return &h.spans[i]
		}
	}
	return nil
}

// adminsBut counts the admins without id.
func (r *Roster) adminsBut(id peer.ID) int {
	n := 0
	for _, m := range r.Members() {
		if m.Role.Admin() && m.ID != id {
			n++
		}
	}
	return n
}

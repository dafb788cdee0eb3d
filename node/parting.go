package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

// partingFor is how long a node tries to tell that it has left a pool.
const partingFor = 30 * 24 * time.Hour

// parting is what is kept of a pool that this node has left, until a member
// knows that it has: the roster, and where members last said that they are.
type parting struct {
	recs  []pool.Record
	notes map[string][]byte
}

// parting takes it from the state of a pool; nil where there is nobody who
// could be told.
func (h *Home) parting(id event.PoolID) *parting {
	st, ro, err := h.roster(id)
	if err != nil || len(ro.Members()) == 0 || leftAt(ro, h.id).IsZero() {
		return nil
	}
	f := &parting{recs: ro.Records(), notes: map[string][]byte{}}
	for _, m := range ro.Members() {
		if raw, ok, err := st.Get(reportKey(m.ID)); err == nil && ok {
			f.notes[reportKey(m.ID)] = raw
		}
	}
	return f
}

// part keeps a parting as all that is left of a pool.
func (h *Home) part(id event.PoolID, f *parting) error {
	st, err := h.db.Pool(id)
	if err == nil {
		_, err = st.AddRecords(f.recs)
	}
	for key, raw := range f.notes {
		if err == nil {
			err = st.Set(key, raw)
		}
	}
	if err != nil {
		return stateTrouble(h.StateDir(), err)
	}
	return nil
}

// partings are the pools that this node has left and whose members may not
// know.
func (h *Home) partings() ([]event.PoolID, error) {
	return h.folderless(func(ro *pool.Roster) bool { return !leftAt(ro, h.id).IsZero() })
}

// tellPartings has members of pools that were left told of it. It reports
// whether there are some that do not know.
func (h *heirs) tellPartings() (waits bool) {
	ids, err := h.n.home.partings()
	if err != nil {
		h.n.log.Warn("pools that were left", "err", err)
	}
	for _, id := range ids {
		st, ro, err := h.n.home.roster(id)
		if err != nil {
			continue // it was dropped meanwhile
		}
		if h.n.refused(id) || time.Since(leftAt(ro, h.n.self)) > partingFor {
			h.n.unretire(id)
			err = h.n.home.db.Drop(id)
		} else {
			waits, err = true, h.n.speakFor(id, st)
		}
		if err != nil {
			h.n.log.Warn("pool that was left", "pool", id, "err", err)
		}
	}
	return waits
}

// refused reports whether a member of a retired pool knows that this node is
// out of it.
func (n *Node) refused(id event.PoolID) bool {
	n.mu.Lock()
	r := n.retired[id]
	n.mu.Unlock()
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusedBy != ""
}

// leftAt is when self took itself out of a pool, or zero.
func leftAt(ro *pool.Roster, self peer.ID) time.Time {
	if _, out := ro.Removed(self); !out {
		return time.Time{}
	}
	for _, rec := range ro.Records() {
		if rec.Act == pool.Remove && rec.Node == self && rec.Author == self {
			return rec.HLC.Time()
		}
	}
	return time.Time{}
}

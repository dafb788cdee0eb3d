package node

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

const (
	readLog   = 1 << 20  // bytes of a log that are read at once
	readMerge = 64 << 10 // …and of each of all logs that are read side by side
)

// logQuery selects events of the logs. The zero value selects all.
type logQuery struct {
	under event.Path          // at this path or below it
	since time.Time           // not before
	by    peer.ID             // of this node alone
	paths map[event.Path]bool // at one of these
}

func (q logQuery) wants(l event.Leaf) bool {
	p := l.Event.Path
	return (q.under == "" || p == q.under || p.Under(q.under)) && (q.paths == nil || q.paths[p]) && !l.Event.HLC.Time().Before(q.since)
}

// skips reports whether no event of a raw segment can be selected: an event
// bears its path and its time as they are, so a segment without those bytes, or
// with none so late, need not be proved, which costs a hundred times as much.
// The times of a log may go back with its writer's clock, so all are looked at.
func (q logQuery) skips(raw []byte) bool {
	if q.under != "" && !bytes.Contains(raw, []byte(q.under)) {
		return true
	}
	if q.since.IsZero() {
		return false
	}
	latest, err := event.LatestIn(raw)
	return err == nil && latest.Time().Before(q.since)
}

// eachLeaf gives f the events behind seen that q selects, log by log, and moves
// seen on. It holds no more of the logs at once than it reads at once.
func (r *replica) eachLeaf(seen map[event.Writer]uint64, q logQuery, f func(event.Leaf)) error {
	for _, h := range r.Heads() {
		if q.by != "" && h.Writer.Node != q.by {
			continue
		}
		if err := r.eachOf(h, seen, q, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *replica) eachOf(h event.Head, seen map[event.Writer]uint64, q logQuery, f func(event.Leaf)) error {
	from := seen[h.Writer] // it stays: a branch of a fork may begin behind what was read
	for more := true; more; {
		to, err := r.readOn(h, seen[h.Writer], from, readLog, q, f)
		if err != nil {
			return err
		}
		more = to > seen[h.Writer]
		seen[h.Writer] = to
	}
	return nil
}

// readOn gives f the events of a log that q selects, of one read behind at, and
// returns how far that went: to at itself where there is no more.
func (r *replica) readOn(h event.Head, at, from uint64, most int, q logQuery, f func(event.Leaf)) (to uint64, err error) {
	if at >= h.Seq {
		return at, nil
	}
	raws, err := r.st.After(h.Writer, at, most)
	if err != nil {
		return at, err
	}
	to, ro := at, r.st.Roster()
	for i, raw := range raws {
		if q.skips(raw) && i < len(raws)-1 {
			continue // the last of them says how far they went
		}
		s, err := event.OpenSegment(r.id, raw)
		if err != nil {
			return to, err
		}
		for _, l := range s.Leaves {
			if l.Raw != nil && l.Dot.Seq > from && q.wants(l) && ro.MayWrite(h.Writer, l.Dot.Seq) == nil {
				f(l)
			}
		}
		to = max(to, s.Last())
	}
	return to, nil
}

// leavesAfter are the events of [replica.eachLeaf], ordered by time.
func (r *replica) leavesAfter(seen map[event.Writer]uint64, q logQuery) ([]event.Leaf, error) {
	var out []event.Leaf
	err := r.eachLeaf(seen, q, func(l event.Leaf) { out = append(out, l) })
	slices.SortStableFunc(out, func(a, b event.Leaf) int { return cmp.Compare(a.Event.HLC, b.Event.HLC) })
	return out, err
}

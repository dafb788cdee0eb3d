package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// history gives yield the signed changes that req selects, oldest first, and
// with req.Follow those to come until ctx ends.
func (r *replica) history(ctx context.Context, req LogRequest, yield func(ChangeInfo) error) error {
	seen := map[event.Writer]uint64{}
	for {
		leaves, err := r.leavesAfter(seen, event.Path(req.Path), req.Since)
		if err != nil {
			return err
		}
		for _, l := range leaves {
			if err := yield(r.changeInfo(l)); err != nil {
				return err
			}
		}
		if !req.Follow || !sleep(ctx, watchPause) {
			return nil
		}
	}
}

// leavesAfter reads all logs behind seen, moves seen on, and orders what it
// found by time.
func (r *replica) leavesAfter(seen map[event.Writer]uint64, under event.Path, since time.Time) ([]event.Leaf, error) {
	var out []event.Leaf
	for _, h := range r.st.Heads() {
		for seen[h.Writer] < h.Seq {
			raws, err := r.st.After(h.Writer, seen[h.Writer], 1<<20)
			if err != nil {
				return nil, err
			}
			if len(raws) == 0 {
				break
			}
			for _, raw := range raws {
				s, err := event.OpenSegment(r.id, raw)
				if err != nil {
					return nil, err
				}
				out = selectLeaves(out, s, seen[h.Writer], under, since)
				seen[h.Writer] = s.Last()
			}
		}
	}
	slices.SortStableFunc(out, func(a, b event.Leaf) int { return cmp.Compare(a.Event.HLC, b.Event.HLC) })
	return out, nil
}

func selectLeaves(out []event.Leaf, s event.Segment, after uint64, under event.Path, since time.Time) []event.Leaf {
	for _, l := range s.Leaves {
		p := l.Event.Path
		if l.Raw == nil || l.Dot.Seq <= after || l.Event.HLC.Time().Before(since) {
			continue
		}
		if under == "" || p == under || p.Under(under) {
			out = append(out, l)
		}
	}
	return out
}

func (r *replica) changeInfo(l event.Leaf) ChangeInfo {
	by := l.Dot.Writer.Node
	c := ChangeInfo{
		Schema: SchemaChange, Time: l.Event.HLC.Time().UTC(), Pool: r.name(), By: by.String(),
		Action: action(l), Kind: l.Event.Value.Kind.String(), Size: l.Event.Value.Size,
	}
	c.Path, c.PathB64 = jsonPath(l.Event.Path)
	if m, ok := r.st.Roster().Member(by); ok {
		c.ByName = m.Name
	} else if m, ok := r.st.Roster().Removed(by); ok {
		c.ByName = m.Name
	}
	if l.Event.WasDir {
		c.Kind = event.Dir.String()
	}
	return c
}

// action says in one word what an event did.
func action(l event.Leaf) string {
	switch {
	case !l.Event.Value.Live():
		return "deleted"
	case l.Event.CDot != l.Dot:
		return "mode"
	case len(l.Event.Ctx) == 0:
		return "created"
	}
	return "changed"
}

package node

import (
	"context"

	"github.com/bwaklog/meerkat/event"
)

// history gives yield the signed changes that req selects, oldest first, and
// with req.Follow those to come until ctx ends.
func (r *replica) history(ctx context.Context, req LogRequest, yield func(ChangeInfo) error) error {
	seen := map[event.Writer]uint64{}
	for {
		leaves, err := r.leavesAfter(seen, logQuery{under: event.Path(req.Path), since: req.Since})
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

package node

import (
	"context"

	"github.com/bwaklog/meerkat/event"
)

// history gives yield the signed changes that req selects, oldest first, and
// with req.Follow those to come until ctx ends.
func (r *replica) history(ctx context.Context, req LogRequest, yield func(ChangeInfo) error) error {
	seen, q := map[event.Writer]uint64{}, logQuery{under: event.Path(req.Path), since: req.Since}
	n, err := r.recount(seen, q, req.Last, yield)
	if err == nil && n == 0 && !req.Follow {
		err = r.neverWas(q.under)
	}
	for err == nil && req.Follow && sleep(ctx, watchPause) {
		_, err = r.recount(seen, q, 0, yield)
	}
	return err
}

// recount gives yield what is new to seen, or the last of it where last is not 0.
func (r *replica) recount(seen map[event.Writer]uint64, q logQuery, last int, yield func(ChangeInfo) error) (n int, err error) {
	var kept []event.Leaf // a ring, of which n%last is the oldest
	err = r.eachInTime(seen, q, func(l event.Leaf) error {
		n++
		switch {
		case last == 0:
			return yield(r.changeInfo(l))
		case len(kept) < last:
			kept = append(kept, l)
		default:
			kept[(n-1)%last] = l
		}
		return nil
	})
	oldest := 0
	if last > 0 && n > last {
		oldest = n % last
	}
	for i := 0; i < len(kept) && err == nil; i++ {
		err = yield(r.changeInfo(kept[(oldest+i)%len(kept)]))
	}
	return n, err
}

// neverWas is the error that nothing was ever known at p or below it, or nil.
func (r *replica) neverWas(p event.Path) error {
	if known, err := r.isKnown(p); p == "" || known || err != nil {
		return err
	}
	was := false
	err := r.eachLeaf(map[event.Writer]uint64{}, logQuery{under: p}, func(event.Leaf) { was = true })
	if err == nil && !was {
		err = noPath(p)
	}
	return err
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
	switch {
	case l.Event.WasDir:
		c.Kind = event.Dir.String()
	case !l.Event.Value.Live():
		c.Kind = event.File.String() // or a link: a deletion does not tell
	}
	return c
}

// action says in one word what an event did.
func action(l event.Leaf) string {
	switch {
	case !l.Event.Value.Live():
		return "deleted"
	case l.Event.CDot != l.Dot && l.Event.MDot != l.Dot:
		return "settled" // it only says which of several values counts
	case l.Event.CDot != l.Dot:
		return "mode"
	case len(l.Event.Ctx) == 0:
		return "created"
	}
	return "changed"
}

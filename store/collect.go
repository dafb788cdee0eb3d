package store

import (
	"bytes"
	"context"
	"slices"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// collectMost is how many tombstones go in one commit.
const collectMost = 1024

// Ripe says which tombstones may be collected.
type Ripe struct {
	Before event.HLC    // all events that live at the path are older
	Known  event.Vector // and this covers them, and all that they have seen: every member has them
}

func (r Ripe) is(s event.State) bool {
	known := func(l event.Leaf) bool { return r.Known.Covers(l.Dot) }
	return r.old(s) && len(s.Live) > 0 && s.Covered.Leq(r.Known) && every(s.Live, known)
}

func (r Ripe) old(s event.State) bool {
	return every(s.Live, func(l event.Leaf) bool { return l.Event.HLC < r.Before })
}

func every(ls []event.Leaf, is func(event.Leaf) bool) bool {
	return !slices.ContainsFunc(ls, func(l event.Leaf) bool { return !is(l) })
}

// Collect takes tombstones that are ripe out of the set of states, and their rows out of the index: of the path there stays a
// row with the dots of the events that delete it, by which they are found in the log. All that asks about the path, [Pool.State],
// [Pool.View] and [Pool.Have], gets the answer that it got before; an event that the path had seen still changes nothing;
// and what is said or found there later brings the tombstone back first. So the state of a path stays a function of the set of
// its events, and collecting gives back space without forgetting.
//
// Passed over are tombstones that are not yet applied here, that something lives below, and whose events the log does not
// hold. done counts those collected, left those that are not and will be. It reads the whole tree.
func (p *Pool) Collect(ctx context.Context, ripe Ripe) (done, left int, err error) {
	if err := p.db.gate.enter(); err != nil {
		return 0, 0, err
	}
	defer p.db.gate.leave()
	paths, left, err := p.ripe(ctx, ripe)
	if err != nil {
		return 0, 0, wrap("look for tombstones to collect", err)
	}
	for len(paths) > 0 && ctx.Err() == nil {
		n := min(len(paths), collectMost)
		went := 0
		err := p.change("collect tombstones", func(c *change) (err error) {
			went, err = c.collect(paths[:n], ripe)
			return err
		})
		if err != nil {
			return done, left + len(paths), err
		}
		done, left, paths = done+went, left+n-went, paths[n:]
	}
	return done, left + len(paths), ctx.Err()
}

// ripe lists the paths whose rows of the tree are ripe tombstones, and counts those that are only old enough.
func (p *Pool) ripe(ctx context.Context, ripe Ripe) (paths []event.Path, left int, err error) {
	snap := p.db.pebble.NewSnapshot()
	defer func() { _ = snap.Close() }() // cannot fail, it reads nothing
	err = scan(snap, p.space.table(nil, tabTree), func(key, row []byte) error {
		e, err := p.writers.readEntry(row)
		if err != nil || e.collected || !e.known() || e.view().Value.Live() {
			return err
		}
		path, err := pathOf(key)
		if err != nil {
			return err
		}
		switch {
		case ripe.is(e.state):
			paths = append(paths, path)
		case ripe.old(e.state):
			left++
		}
		return ctx.Err()
	})
	return paths, left, err
}

func (c *change) collect(paths []event.Path, ripe Ripe) (went int, err error) {
	for _, path := range paths {
		n, err := c.at(path)
		if err != nil {
			return 0, err
		}
		if err := c.load(n); err != nil {
			return 0, err
		}
		ok, err := c.collectible(n, ripe)
		if err != nil {
			return 0, err
		}
		if ok {
			n.now.collected = true
			went++
		}
	}
	return went, nil
}

// collectible looks again, for the path may have moved on, and whether its events can be had from the log.
func (c *change) collectible(n *node, ripe Ripe) (bool, error) {
	e, v := n.now, n.before
	applied := n.has && n.have.clear() && agrees(n.have, v)
	if e.collected || v.Value.Live() || e.kids > 0 || e.needs || e.unsettled || len(e.state.Witness) > 0 || !applied || !ripe.is(e.state) {
		return false, nil
	}
	for _, l := range e.state.Live {
		held, ok, err := c.p.leafAt(c.p.db.pebble, l.Dot)
		if err != nil || !ok || held.Hash != l.Hash {
			return false, err
		}
	}
	return true, nil
}

// leafAt is the event of that dot on the trunk of its log.
func (p *Pool) leafAt(r pebble.Reader, d event.Dot) (l event.Leaf, ok bool, err error) {
	n, known := p.writers.number(d.Writer)
	if !known {
		return event.Leaf{}, false, nil
	}
	err = scanFrom(r, p.space.log(n), p.space.logFrom(n, d.Seq), func(key, row []byte) error {
		if branchOf(key) != trunk {
			return nil
		}
		s, err := event.OpenSegment(p.id, bytes.Clone(row))
		if err != nil {
			return corrupt("segment: " + err.Error())
		}
		if s.First <= d.Seq {
			l = s.Leaves[d.Seq-s.First]
			ok = l.Raw != nil
		}
		return errStop
	})
	return l, ok, err
}

// revive gives a collected entry its state back, as it was before.
func (p *Pool) revive(r pebble.Reader, e *entry) error {
	if !e.collected {
		return nil
	}
	for _, d := range e.dots {
		l, ok, err := p.leafAt(r, d)
		if err != nil {
			return err
		}
		if !ok {
			return corrupt("log that a collected tombstone lies in")
		}
		e.state, _ = e.state.Add(l)
	}
	return nil
}

// cleared is what the index says of a path whose tombstone was collected.
func cleared(v event.View) Have { return Have{Known: v.Known()} }

// clear says whether h says nothing but that nothing lies there.
func (h Have) clear() bool {
	return !h.Known.Value.Live() && h.Stat == (Stat{}) && !h.Racy
}

// wake ends a collection that no longer holds, before n is settled.
func (n *node) wake() {
	if n.moved || n.now.kids > 0 || !n.has || !n.have.clear() {
		n.now.collected = false
	}
}

// collected checks a row that holds no state: nothing else speaks of its path, and the log holds its events.
func (a *audit) collected(path event.Path, e entry) error {
	if err := a.p.revive(a.r, &e); isDamage(err) {
		return a.set(path, noteLost, a.p.space.path(nil, tabTree, path), nil)
	} else if err != nil {
		return err
	}
	if err := a.item(path, e); err != nil {
		return err
	}
	key := a.p.space.path(nil, tabIndex, path)
	row, err := get(a.r, key)
	if err == nil && row != nil {
		err = a.set(path, noteIndex, key, nil)
	}
	if err == nil {
		err = a.mark(path, false)
	}
	if err == nil {
		err = a.need(path, 0, false)
	}
	return err
}

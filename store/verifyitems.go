package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bwaklog/meerkat/event"
)

// item checks what the set of states holds for path.
func (a *audit) item(path event.Path, e entry) error {
	k, want := event.KeyOf(path), stateItem(path, e)
	if want != nil {
		a.inRanges(event.Item{Key: k, Hash: [32]byte(want)})
	}
	key := a.p.space.item(nil, k, path)
	row, err := get(a.r, key)
	if err != nil || row != nil == (want != nil) && bytes.Equal(row, want) {
		return err
	}
	return a.set(path, noteItem, key, want)
}

func (a *audit) inRanges(i event.Item) {
	ranges(i.Key, func(r event.Range) {
		s := a.ranges[r]
		s.Add(i.Hash)
		a.ranges[r] = s
	})
}

// sets looks for items of paths that the tree has no row of, and compares the sums.
func (a *audit) sets() error {
	err := scan(a.r, a.p.space.table(nil, tabItem), func(key, row []byte) error {
		_, path, err := itemOf(key, make([]byte, len(event.Hash{}))) // its row was looked at with the tree's
		if err != nil {
			return a.set("", noteItem, bytes.Clone(key), nil)
		}
		known, err := get(a.r, a.p.space.path(nil, tabTree, path))
		if err != nil || known != nil {
			return err
		}
		return a.set(path, noteItem, bytes.Clone(key), nil)
	})
	if err != nil {
		return err
	}
	return a.keptSums()
}

// keptSums compares the sums of ranges with those that the items add up to.
func (a *audit) keptSums() error {
	err := scan(a.r, a.p.space.table(nil, tabRange), func(key, row []byte) error {
		r, err := rangeOf(key)
		want, some := a.ranges[r]
		if err != nil || !some {
			return a.set("", noteRange, bytes.Clone(key), nil)
		}
		delete(a.ranges, r)
		if bytes.Equal(row, want.Bytes()) {
			return nil
		}
		return a.set("", noteRange, bytes.Clone(key), want.Bytes())
	})
	if err != nil {
		return err
	}
	for r, want := range a.ranges {
		if err := a.set("", noteRange, a.p.space.sum(r), want.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// Scrub recounts the set of states from the tree, and repairs the pool as [Pool.Verify] does where that gives anything else:
// after it the sums that are compared with members say what is here, and a state that was lost here shows. It reads each
// state once and, unless there is something to repair, holds nobody up. It returns what was repaired.
func (p *Pool) Scrub(ctx context.Context) ([]Fault, error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	right, err := p.recount(ctx)
	if err != nil || right {
		return nil, wrap("recount states", err)
	}
	return p.Verify(true)
}

// restore brings back the states that the set has an item of and the tree does not say, as the logs say them. What the logs do
// not hold either is left to members.
func (p *Pool) restore() (faults []Fault, err error) {
	lost := map[event.Path]bool{}
	err = p.change("drop rows that cannot be read", func(c *change) error { return c.lostStates(lost) })
	if err != nil || len(lost) == 0 {
		return nil, err
	}
	for path := range lost {
		faults = append(faults, Fault{path, noteLost})
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(string(a.Path), string(b.Path)) })
	faults = faults[:min(len(faults), maxFaults)]
	err = p.change("fold anew", func(c *change) error { return c.refold(lost, false) })
	if isDamage(err) {
		err = nil // of a log: the audit says so
	}
	return faults, err
}

// lostStates adds to lost the paths whose row of the tree is not what their item says, and deletes rows that cannot be read.
func (c *change) lostStates(lost map[event.Path]bool) error {
	err := scan(c.p.db.pebble, c.p.space.table(nil, tabTree), func(key, row []byte) error {
		if _, err := c.p.writers.readEntry(row); err == nil {
			return nil
		}
		path, err := pathOf(key)
		if err != nil {
			return err
		}
		lost[path] = true
		return c.b.Delete(key, nil)
	})
	if err != nil {
		return err
	}
	return scan(c.p.db.pebble, c.p.space.table(nil, tabItem), func(key, row []byte) error {
		_, path, err := itemOf(key, row)
		if err != nil || lost[path] {
			return nil // the audit deletes what is no item
		}
		e, err := c.p.entryFrom(c.p.db.pebble, path)
		if err == nil && !bytes.Equal(stateItem(path, e), row) {
			lost[path] = true
		}
		return err
	})
}

// recount tells whether tree, items and sums agree.
func (p *Pool) recount(ctx context.Context) (bool, error) {
	p.write.Lock()
	snap, facts := p.db.pebble.NewSnapshot(), p.latest
	p.write.Unlock()
	defer func() { _ = snap.Close() }() // cannot fail, it reads nothing
	want := facts.sums.state
	a := newAudit(p, snap, nil)
	for _, count := range []func(context.Context) (event.Sum, error){a.sumItems, a.sumStates} {
		got, err := count(ctx)
		if isDamage(err) {
			return false, nil // an answer as well
		}
		if err != nil || got != want {
			return false, err
		}
	}
	return true, nil
}

// sumItems is the sum of all items; it is damage where those of the ranges are not the sums of theirs.
func (a *audit) sumItems(ctx context.Context) (all event.Sum, err error) {
	err = a.p.scanItems(a.r, event.Range{}, func(i event.Item, _ event.Path) error {
		all.Add(i.Hash)
		a.inRanges(i)
		return ctx.Err()
	})
	if err == nil {
		err = a.keptSums()
	}
	if err == nil && a.found > 0 {
		err = corrupt(noteRange)
	}
	return all, err
}

// sumStates is the sum of the items that follow from the tree.
func (a *audit) sumStates(ctx context.Context) (all event.Sum, err error) {
	err = scan(a.r, a.p.space.table(nil, tabTree), func(key, row []byte) error {
		path, err := pathOf(key)
		if err != nil {
			return err
		}
		e, err := a.p.writers.readEntry(row)
		if err != nil {
			return err
		}
		if i := stateItem(path, e); i != nil {
			all.Add([32]byte(i))
		}
		return ctx.Err()
	})
	return all, err
}

func isDamage(err error) bool { return errors.Is(err, ErrCorrupt) }

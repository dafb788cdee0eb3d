package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

func (p *Pool) loadRoster() error {
	var recs []pool.Record
	err := scan(p.db.pebble, p.space.table(nil, tabRecord), func(_, row []byte) error {
		rec, err := pool.OpenRecord(append([]byte(nil), row...))
		if err != nil {
			return corrupt("roster record: " + err.Error())
		}
		recs = append(recs, rec)
		return nil
	})
	if err != nil || len(recs) == 0 {
		return err
	}
	r, err := pool.NewRoster(recs)
	if err != nil {
		return corrupt("roster: " + err.Error())
	}
	p.latest.roster = r
	return nil
}

// Roster is the pool's roster as of the last durable commit; nil before the genesis is known.
func (p *Pool) Roster() *pool.Roster { return p.shown.Load().roster }

// AddRecords adds what is new of recs to the roster, and tells how many of them are in it now that were not. Records that have
// no place in it are left out, see [pool.Roster.Rejected]. Errors: [ErrNoGenesis], and [ErrForeign] when the genesis
// is another pool's.
//
// Where a record takes from a writer what it has signed already (a removal with its cut), segments of which nothing counts any
// more leave the log, and what does not count leaves the tree. A file that lies here because of them loses its row in the index, so that it is found anew
// and becomes this node's own.
func (p *Pool) AddRecords(recs []pool.Record) (added int, err error) {
	err = p.change("add roster records", func(c *change) error {
		added = 0
		old := c.facts.roster
		r, err := c.grow(recs)
		if err != nil || old != nil && old.Digest() == r.Digest() && len(old.Pending()) == len(r.Pending()) {
			return err
		}
		c.facts.roster = r
		if added, err = c.putRecords(old, r); err != nil || old == nil {
			return err
		}
		return c.recount(old)
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

func (c *change) grow(recs []pool.Record) (*pool.Roster, error) {
	if c.facts.roster != nil {
		return c.facts.roster.With(recs...)
	}
	genesis := false
	for _, r := range recs {
		genesis = genesis || r.Act == pool.Genesis
	}
	if !genesis {
		return nil, ErrNoGenesis
	}
	r, err := pool.NewRoster(recs)
	if err == nil && r.ID() != c.p.id {
		err = fmt.Errorf("genesis of %s: %w", r.ID(), ErrForeign)
	}
	return r, err
}

// putRecords makes the rows those of r: its records, and those that wait for others.
func (c *change) putRecords(old, r *pool.Roster) (added int, err error) {
	rows := map[event.Hash]bool{}
	if old != nil {
		for _, rec := range append(old.Records(), old.Pending()...) {
			rows[rec.Hash] = true
		}
	}
	for _, rec := range append(r.Records(), r.Pending()...) {
		if r.Has(rec.Hash) && (old == nil || !old.Has(rec.Hash)) {
			added++
		}
		if !rows[rec.Hash] {
			err = c.b.Set(c.p.space.record(rec.Hash), rec.Raw, nil)
		}
		if err != nil {
			return 0, err
		}
		delete(rows, rec.Hash)
	}
	for h := range rows {
		if err := c.b.Delete(c.p.space.record(h), nil); err != nil {
			return 0, err
		}
	}
	return added, nil
}

// recount takes out of the logs and the tree what the roster no longer lets count, and takes in what it does again.
func (c *change) recount(old *pool.Roster) error {
	lost, back := map[event.Path]bool{}, map[event.Path]bool{}
	last := map[event.Writer]uint64{}
	for w, h := range c.facts.heads {
		last[w] = h.Seq
	}
	for w, b := range c.facts.forks {
		last[w] = b.last
	}
	for w, seq := range last {
		if c.facts.roster.MayWrite(w, seq) == nil && old.MayWrite(w, seq) == nil {
			continue
		}
		if err := c.recountLog(w, old, lost, back); err != nil {
			return err
		}
	}
	if err := c.voidExtras(lost); err != nil {
		return err
	}
	maps.DeleteFunc(back, func(path event.Path, _ bool) bool { return lost[path] })
	return errors.Join(c.refold(lost, true), c.refold(back, false))
}

// recountLog deletes the segments of w of which no event counts, and adds to lost the paths of events that do not count any more,
// to back those of events that do again.
func (c *change) recountLog(w event.Writer, old *pool.Roster, lost, back map[event.Path]bool) error {
	n, _ := c.p.writers.number(w)
	var left []stand
	err := c.segments(c.p.space.log(n), func(key []byte, s event.Segment) error {
		for _, l := range s.Leaves {
			switch was, is := old.MayWrite(w, l.Dot.Seq) == nil, c.counts(l); {
			case l.Raw == nil || was == is:
			case is:
				back[l.Event.Path] = true
			default:
				lost[l.Event.Path] = true
			}
		}
		if c.facts.roster.MayWrite(w, s.First) != nil {
			return c.b.Delete(key, nil)
		}
		left = append(left, stand{event.Place{Head: s.Head(), First: s.First, Prev: s.Prev}, bytes.Clone(key)})
		return nil
	})
	if err != nil {
		return err
	}
	return c.plant(w, n, left)
}

// segments opens each segment below prefix.
func (c *change) segments(prefix []byte, f func(key []byte, s event.Segment) error) error {
	return scan(c.p.db.pebble, prefix, func(key, row []byte) error {
		s, err := event.OpenSegment(c.p.id, append([]byte(nil), row...))
		if err != nil {
			return corrupt("segment: " + err.Error())
		}
		return f(key, s)
	})
}

// refold computes the states of the paths anew, from all events that count. With void, files that lie here because of some that
// do not count any more lose their rows.
func (c *change) refold(paths map[event.Path]bool, void bool) error {
	if len(paths) == 0 {
		return nil
	}
	states := make(map[event.Path]event.State, len(paths))
	err := c.segments(c.p.space.table(nil, tabLog), func(_ []byte, s event.Segment) error {
		for _, l := range s.Leaves {
			if paths[l.Event.Path] && c.counts(l) {
				states[l.Event.Path], _ = states[l.Event.Path].Add(l)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = c.extras(func(_ []byte, l event.Leaf) error {
		if paths[l.Event.Path] && c.facts.roster.MayWrite(l.Dot.Writer, l.Dot.Seq) == nil {
			states[l.Event.Path], _ = states[l.Event.Path].Add(l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for path := range paths {
		n, err := c.at(path)
		if err != nil {
			return err
		}
		n.now.state, n.moved, n.void = states[path], true, void
	}
	return nil
}

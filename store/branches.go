package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// Fork is what is known of a log whose segments are not one chain.
type Fork struct {
	From uint64     // the branches part at this seq, or may do so
	Hole bool       // something that a segment follows is not here, so that they may part anywhere
	Head event.Head // the greatest seq, and a hash of the set of the segments
}

// branches are what the segments of a forked log add up to. They are replaced, not changed.
type branches struct {
	from  uint64
	last  uint64
	sum   event.Sum
	lacks map[event.Head]bool // ends of logs that segments follow and that are not here
}

func (b branches) fork(w event.Writer) Fork {
	f := Fork{From: b.from, Hole: len(b.lacks) > 0, Head: event.Head{Writer: w, Seq: b.last, Hash: b.sum.Fingerprint(nil)}}
	if f.Hole {
		f.From = 1
	}
	return f
}

// with is b and a segment on the trunk, or beside it; follows: what it follows is here.
func (b branches) with(p event.Place, branch byte, follows bool) branches {
	if b.lacks[p.Head] || !follows {
		b.lacks = maps.Clone(b.lacks)
	}
	b.add(p, branch, follows)
	return b
}

// add is with for branches that nobody else has.
func (b *branches) add(p event.Place, branch byte, follows bool) {
	b.sum.Add(p.Hash)
	b.last = max(b.last, p.Seq)
	if b.lacks[p.Head] { // no delete otherwise: with has not cloned it, and others read it
		delete(b.lacks, p.Head)
	}
	switch {
	case !follows && b.lacks == nil:
		b.lacks = map[event.Head]bool{p.Before(): true}
	case !follows:
		b.lacks[p.Before()] = true
	case branch != trunk:
		b.from = min(b.from, p.First)
	}
}

// stand is a segment of a log: where it stands, and the key of its row.
type stand struct {
	event.Place
	key []byte
}

// grow tells how far the trunk of a log reaches when what stands beside it and goes on from its end is taken to it, and what all
// add up to; forked: something is left beside it. all is in the order of keys.
func grow(w event.Writer, all []stand) (head event.Head, moved []stand, b branches, forked bool) {
	head, b = event.Head{Writer: w}, branches{from: ^uint64(0)}
	known := make(map[event.Head]bool, len(all))
	for _, s := range all {
		known[s.Head] = true
		if branchOf(s.key) == trunk {
			head = s.Head
		}
	}
	for _, s := range all {
		branch := branchOf(s.key)
		if branch == fork && s.Before() == head {
			head, branch, moved = s.Head, trunk, append(moved, s)
		}
		b.add(s.Place, branch, s.First == 1 || known[s.Before()])
		forked = forked || branch == fork
	}
	return head, moved, b, forked
}

// stands reads where the segments of a log stand.
func (p *Pool) stands(r pebble.Reader, n uint32) (all []stand, err error) {
	err = scan(r, p.space.log(n), func(key, row []byte) error {
		at, err := event.PlaceOf(row)
		if err != nil {
			return corrupt("segment: " + err.Error())
		}
		all = append(all, stand{at, bytes.Clone(key)})
		return nil
	})
	return all, err
}

// loadForks sums up the logs that forked. Those whose branches were about to be joined are named.
func (p *Pool) loadForks() (open []event.Writer, err error) {
	p.latest.forks = map[event.Writer]branches{}
	return open, scan(p.db.pebble, p.space.table(nil, tabForked), func(_, row []byte) error {
		r := &reader{b: row}
		w := r.writer()
		if err := r.end("forked writer"); err != nil {
			return err
		}
		n, _ := p.writers.number(w)
		all, err := p.stands(p.db.pebble, n)
		if err != nil {
			return err
		}
		_, moved, b, _ := grow(w, all)
		if p.latest.forks[w] = b; len(moved) > 0 {
			open = append(open, w)
		}
		return nil
	})
}

// plant makes the trunk of a log as long as it can be, and notes whether it is forked still.
func (c *change) plant(w event.Writer, n uint32, all []stand) error {
	head, moved, b, forked := grow(w, all)
	for _, s := range moved {
		row, err := get(c.p.db.pebble, s.key)
		if err == nil && row == nil {
			err = corrupt("segment beside the trunk")
		}
		if err == nil {
			err = errors.Join(c.b.Delete(s.key, nil), c.b.Set(c.p.space.seg(n, s.Seq, trunk, s.Hash), row, nil))
		}
		if err != nil {
			return err
		}
	}
	if !forked {
		c.setBranches(w, nil)
		return errors.Join(c.b.Delete(c.p.space.forked(n), nil), c.setHead(n, head))
	}
	c.setBranches(w, &b)
	return c.setHead(n, head)
}

// note moves the head along the trunk, and notes what is beside it. Where s is what something beside the trunk follows, and
// goes on from the trunk, so may that.
func (c *change) note(number uint32, s event.Segment, branch byte, follows bool) error {
	if branch == trunk {
		_, goesOn := c.facts.heads[s.Writer]
		if err := c.setHead(number, s.Head()); err != nil {
			return err
		}
		if !goesOn {
			c.weighLog(s.Writer)
		}
	}
	b, forked := c.facts.forks[s.Writer]
	if !forked && branch == trunk {
		return nil
	}
	c.result.Forked = true
	if !forked {
		if err := c.b.Set(c.p.space.forked(number), appendWriter(nil, s.Writer), nil); err != nil {
			return err
		}
		var err error
		if b, err = c.chain(number, s.Writer); err != nil {
			return err
		}
	}
	if branch == trunk && b.lacks[s.Head()] {
		c.joined = append(c.joined, s.Writer)
	}
	b = b.with(event.Place{Head: s.Head(), First: s.First, Prev: s.Prev}, branch, follows)
	c.setBranches(s.Writer, &b)
	return nil
}

// chain sums up a log that has not forked.
func (c *change) chain(number uint32, w event.Writer) (branches, error) {
	b := branches{from: ^uint64(0)}
	all, err := c.p.stands(c.p.db.pebble, number)
	for _, s := range all {
		b.add(s.Place, trunk, true)
	}
	for _, s := range c.taken {
		if s.Writer == w {
			b.add(event.Place{Head: s.Head()}, trunk, true)
		}
	}
	return b, err
}

// setBranches notes what a log adds up to; nil: it has one branch.
func (c *change) setBranches(w event.Writer, b *branches) {
	if !c.ownForks { // the map in facts is still shared with those before
		c.facts.forks, c.ownForks = maps.Clone(c.facts.forks), true
	}
	if b == nil {
		delete(c.facts.forks, w)
		return
	}
	c.facts.forks[w] = *b
}

// join takes to the trunks of logs what stands beside them and goes on from their ends.
func (p *Pool) join(ws []event.Writer) error {
	if len(ws) == 0 {
		return nil
	}
	return p.change("join the branches of a log", func(c *change) error {
		for _, w := range ws {
			n, _ := p.writers.number(w)
			all, err := p.stands(p.db.pebble, n)
			if err == nil {
				err = c.plant(w, n, all)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Fork tells of the log of w where it has forked: its writer signed two different things for one seq, or something that a
// segment of it follows is missing here.
func (p *Pool) Fork(w event.Writer) (Fork, bool) {
	b, ok := p.shown.Load().forks[w]
	return b.fork(w), ok
}

// Forks are all such logs here, ordered by writer.
func (p *Pool) Forks() []Fork {
	var out []Fork
	for w, b := range p.shown.Load().forks {
		out = append(out, b.fork(w))
	}
	slices.SortFunc(out, func(a, b Fork) int { return a.Head.Writer.Compare(b.Head.Writer) })
	return out
}

// Extents are how far each log is here, ordered by writer: its head, or, where it forked, [Fork.Head]. Two pools have equal
// ones just when they hold the same segments.
func (p *Pool) Extents() []event.Head {
	f := p.shown.Load()
	ends := maps.Clone(f.heads)
	for w, b := range f.forks {
		ends[w] = b.fork(w).Head
	}
	return slices.SortedFunc(maps.Values(ends), func(a, b event.Head) int { return a.Writer.Compare(b.Writer) })
}

// Has tells whether the segment that h is the end of is here.
func (p *Pool) Has(h event.Head) (bool, error) {
	if err := p.db.gate.enter(); err != nil {
		return false, err
	}
	defer p.db.gate.leave()
	n, ok := p.writers.number(h.Writer)
	if !ok {
		return false, nil
	}
	for branch := byte(trunk); branch <= fork; branch++ {
		if row, err := get(p.db.pebble, p.space.seg(n, h.Seq, branch, h.Hash)); err != nil || row != nil {
			return row != nil, wrap("look for a segment", err)
		}
	}
	return false, nil
}

// Ends are the ends of the segments of w that hold the seqs above seq, in order, at most max. It reads no segment.
func (p *Pool) Ends(w event.Writer, seq uint64, max int) (ends []event.Head, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	n, ok := p.writers.number(w)
	if !ok || seq == ^uint64(0) {
		return nil, nil
	}
	err = scanFrom(p.db.pebble, p.space.log(n), p.space.logFrom(n, seq+1), func(key, _ []byte) error {
		if len(ends) >= max {
			return errStop
		}
		ends = append(ends, endOf(w, key))
		return nil
	})
	return ends, wrap("list log of "+w.Node.String(), err)
}

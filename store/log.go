package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// Result says what a write brought.
type Result struct {
	New   int          // events that were not here
	Paths []event.Path // whose view may be another now, each directory after what is below it
	// Forked says that something came of a log that has, or has now, more than one branch.
	Forked bool
	// Burdens are what authors brought that costs more than honest authors' events do; nil where nobody did.
	Burdens map[peer.ID]Burden
}

// Append takes in segments of any member, in the order given: it is the one door for what others wrote. When it returns
// they are durable, with all that follows from them. A segment that is here already changes nothing.
//
// Of a segment that a cut lies in those events count that the cut covers, and the whole is kept for their proof.
//
// One that cannot be taken does not keep the others out; the error then joins, for each such segment, an [ErrGap], an
// error of [pool.Roster.MayWrite], [ErrForeign], or [ErrNoGenesis]. It also joins an [ErrFork] for each segment that showed a
// fork: that segment was taken in. Append keeps nothing of segs.
func (p *Pool) Append(segs ...event.Segment) (Result, error) {
	var refused []error
	var res Result
	var joined []event.Writer
	err := p.changeFor(&res, "append to the logs", func(c *change) error {
		for _, s := range segs {
			if err := c.append(s, &refused); err != nil {
				return err
			}
		}
		joined = c.joined
		return nil
	})
	if err == nil {
		err = p.join(joined)
	}
	if err != nil {
		return Result{}, err
	}
	return res, errors.Join(refused...)
}

// append takes in s, or adds to refused why not. An error is one of the database.
func (c *change) append(s event.Segment, refused *[]error) error {
	if err := c.admissible(s); err != nil {
		*refused = append(*refused, err)
		return nil
	}
	known, err := c.knows(s)
	if known || err != nil {
		return err
	}
	place, fault, err := c.place(s)
	if err != nil {
		return err
	}
	if fault != nil {
		*refused = append(*refused, fault)
	}
	if place == nowhere {
		return nil
	}
	var f ErrFork
	return c.take(s, byte(place), !errors.As(fault, &f) || !f.Hole)
}

// admissible checks what does not depend on the log.
func (c *change) admissible(s event.Segment) error {
	switch {
	case s.Pool != c.p.id:
		return fmt.Errorf("segment of %s: %w", s.Writer.Node, ErrForeign)
	case c.facts.roster == nil:
		return fmt.Errorf("segment of %s: %w", s.Writer.Node, ErrNoGenesis)
	case len(s.Leaves) == 0 || s.First == 0:
		return fmt.Errorf("segment of %s: empty", s.Writer.Node)
	}
	if err := c.facts.roster.MayWrite(s.Writer, s.First); err != nil {
		return fmt.Errorf("segment of %s from %d: %w", s.Writer.Node, s.First, err)
	}
	return nil
}

// counts says whether l is here, and the roster lets it count.
func (c *change) counts(l event.Leaf) bool {
	return l.Raw != nil && c.facts.roster.MayWrite(l.Dot.Writer, l.Dot.Seq) == nil
}

// knows says whether s is here, on either branch.
func (c *change) knows(s event.Segment) (bool, error) {
	return c.hasSegment(s.Writer, s.Last(), s.Hash)
}

func (c *change) hasSegment(w event.Writer, last uint64, h event.Hash) (bool, error) {
	n, ok := c.p.writers.number(w)
	if !ok {
		return false, nil
	}
	for branch := byte(trunk); branch <= fork; branch++ {
		key := c.p.space.seg(n, last, branch, h)
		if c.fresh[string(key)] {
			return true, nil
		}
		if row, err := get(c.p.db.pebble, key); err != nil || row != nil {
			return row != nil, err
		}
	}
	return false, nil
}

const nowhere = -1

// place says on which branch s goes, and what is wrong with it: nothing on the trunk, an ErrFork on the other one, an
// ErrGap where it can go nowhere.
func (c *change) place(s event.Segment) (branch int, fault, err error) {
	head := c.facts.heads[s.Writer]
	if s.First == head.Seq+1 && s.Prev == head.Hash {
		return trunk, nil, nil
	}
	follows := s.First == 1 && s.Prev == event.Hash{}
	if !follows {
		if follows, err = c.hasSegment(s.Writer, s.First-1, s.Prev); err != nil {
			return nowhere, nil, err
		}
	}
	if s.First > max(head.Seq, c.facts.forks[s.Writer].last)+1 && !follows {
		return nowhere, ErrGap{Writer: s.Writer, Have: head.Seq}, nil
	}
	f := ErrFork{Writer: s.Writer, Seq: s.First, Theirs: slices.Clone(s.Raw), Hole: !follows}
	f.Ours, err = c.segmentAt(s.Writer, min(s.First, head.Seq))
	return fork, f, err
}

// segmentAt is the segment of the trunk that holds seq.
func (c *change) segmentAt(w event.Writer, seq uint64) (raw []byte, err error) {
	for _, s := range c.taken {
		if s.Writer == w && s.First <= seq && seq <= s.Last() {
			return slices.Clone(s.Raw), nil
		}
	}
	n, ok := c.p.writers.number(w)
	if !ok {
		return nil, nil
	}
	err = scanFrom(c.p.db.pebble, c.p.space.log(n), c.p.space.logFrom(n, seq), func(key, row []byte) error {
		if branchOf(key) == trunk {
			raw = slices.Clone(row)
			return errStop
		}
		return nil
	})
	return raw, err
}

func branchOf(key []byte) byte { return key[len(key)-len(event.Hash{})-1] }

// endOf reads the key of a segment of w.
func endOf(w event.Writer, key []byte) event.Head {
	at := len(key) - len(event.Hash{})
	return event.Head{Writer: w, Seq: binary.BigEndian.Uint64(key[at-1-8:]), Hash: event.Hash(key[at:])}
}

// take writes the rows of s and folds its events; follows: what it follows is here. Both branches count: the state of a path is a function of the set of
// events, so that all members agree about it whatever came first.
func (c *change) take(s event.Segment, branch byte, follows bool) error {
	n, err := c.numbered(s.Writer)
	if err != nil {
		return err
	}
	key := c.p.space.seg(n, s.Last(), branch, s.Hash)
	c.fresh[string(key)] = true
	if err := c.b.Set(key, s.Raw, nil); err != nil {
		return err
	}
	if err := c.note(n, s, branch, follows); err != nil {
		return err
	}
	if branch == trunk {
		c.taken = append(c.taken, s)
	}
	if err := c.dropExtras(n, s); err != nil {
		return err
	}
	for _, l := range s.Leaves {
		if !c.counts(l) {
			continue // or pruned: whoever gave it knew it to be superseded
		}
		if err := c.fold(l); err != nil {
			return err
		}
	}
	return nil
}

// After is the raw segments of w that hold the seqs above seq, in order and of both branches where the log forked, up
// to max bytes but at least one. The slices are the caller's.
func (p *Pool) After(w event.Writer, seq uint64, max int) (raws [][]byte, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	n, ok := p.writers.number(w)
	if !ok || seq == ^uint64(0) {
		return nil, nil
	}
	size := 0
	var last []byte // of the key, up to the seq: both branches of one seq go together
	err = scanFrom(p.db.pebble, p.space.log(n), p.space.logFrom(n, seq+1), func(key, row []byte) error {
		at := key[:len(key)-len(event.Hash{})-1]
		if size += len(row); size > max && len(raws) > 0 && !bytes.Equal(at, last) {
			return errStop
		}
		last = append(last[:0], at...)
		raws = append(raws, slices.Clone(row))
		return nil
	})
	return raws, wrap("read log of "+w.Node.String(), err)
}

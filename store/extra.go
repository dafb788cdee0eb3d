package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bwaklog/meerkat/event"
)

// Supplement is an event that came on its own, out of the order of its log, with the proof that its writer signed it.
type Supplement struct {
	Leaf  event.Leaf
	Proof []byte
}

// Supplement takes in events that were proved ([event.VerifyProof] made their leaves), wherever their log stands: it moves no
// head. When it returns they are durable, with all that follows from them. One that the log holds only counts again for its
// path, which is how a lost state comes back. New of the result counts the events that changed anything.
//
// One that cannot be taken does not keep the others out; the error joins, for each, an error of [pool.Roster.MayWrite] or
// [ErrNoGenesis]. Supplement keeps nothing of ss.
func (p *Pool) Supplement(ss ...Supplement) (Result, error) {
	var refused []error
	var res Result
	err := p.changeFor(&res, "supplement the logs", func(c *change) error {
		f := newFinder(p)
		for _, s := range ss {
			if err := c.mayCount(s.Leaf); err != nil {
				refused = append(refused, err)
				continue
			}
			if err := c.supplement(f, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	return res, errors.Join(refused...)
}

func (c *change) mayCount(l event.Leaf) error {
	switch w := l.Dot.Writer; {
	case c.facts.roster == nil:
		return fmt.Errorf("event of %s: %w", w.Node, ErrNoGenesis)
	case l.Raw == nil:
		return fmt.Errorf("event %v: pruned", l.Dot)
	default:
		if err := c.facts.roster.MayWrite(w, l.Dot.Seq); err != nil {
			return fmt.Errorf("event %v: %w", l.Dot, err)
		}
	}
	return nil
}

func (c *change) supplement(f *finder, s Supplement) error {
	l := s.Leaf
	_, known, err := f.prove(l)
	if err != nil {
		return err
	}
	if !known {
		if err := c.putExtra(s); err != nil {
			return err
		}
	}
	n, err := c.at(l.Event.Path)
	if err != nil {
		return err
	}
	n.coming = append(n.coming, l)
	if known {
		n.again = append(n.again, l.Hash)
	} else {
		c.result.New++
	}
	return nil
}

func (c *change) putExtra(s Supplement) error {
	n, err := c.numbered(s.Leaf.Dot.Writer)
	if err != nil {
		return err
	}
	return c.b.Set(c.p.space.extra(n, s.Leaf.Dot.Seq, s.Leaf.Hash), append(appendBytes(nil, s.Leaf.Raw), s.Proof...), nil)
}

// numbered is the number of w, which it gets now if it has none.
func (c *change) numbered(w event.Writer) (uint32, error) {
	n, fresh := c.p.writers.add(w)
	if !fresh {
		return n, nil
	}
	return n, c.b.Set(c.p.space.writer(n), appendWriter(nil, w), nil)
}

// extra is the key of a supplement.
func (s space) extra(w uint32, seq uint64, h event.Hash) []byte {
	return append(s.extrasFrom(w, seq), h[:]...)
}

func (s space) extrasFrom(w uint32, seq uint64) []byte {
	b := binary.BigEndian.AppendUint32(s.table(nil, tabExtra), w)
	return binary.BigEndian.AppendUint64(b, seq)
}

// extraOf reads a supplement; ws knows its writer.
func (ws *writers) extraOf(key, row []byte) (event.Leaf, []byte, error) {
	rest := key[len(space{})+1:]
	if len(rest) != 4+8+len(event.Hash{}) {
		return event.Leaf{}, nil, corrupt("key of a supplement")
	}
	w, ok := ws.at(uint64(binary.BigEndian.Uint32(rest)))
	r := &reader{b: bytes.Clone(row)}
	raw := r.bytes()
	if !ok || r.bad {
		return event.Leaf{}, nil, corrupt("supplement")
	}
	l, err := event.OpenLeaf(event.Dot{Writer: w, Seq: binary.BigEndian.Uint64(rest[4:])}, raw)
	if err != nil || l.Hash != event.Hash(rest[12:]) {
		return event.Leaf{}, nil, corrupt("supplement")
	}
	return l, r.b, nil
}

// extras calls f for each supplement.
func (c *change) extras(f func(key []byte, l event.Leaf) error) error {
	return scan(c.p.db.pebble, c.p.space.table(nil, tabExtra), func(key, row []byte) error {
		l, _, err := c.p.writers.extraOf(key, row)
		if err != nil {
			return err
		}
		return f(key, l)
	})
}

// dropExtras takes away the supplements that s, now in the log, holds itself.
func (c *change) dropExtras(number uint32, s event.Segment) error {
	low, high := c.p.space.extrasFrom(number, s.First), c.p.space.extrasFrom(number, s.Last())
	return scanBetween(c.p.db.pebble, low, after(high), func(key, row []byte) error {
		l, _, err := c.p.writers.extraOf(key, row)
		if err != nil {
			return err
		}
		if own := s.Leaves[l.Dot.Seq-s.First]; own.Hash != l.Hash || own.Raw == nil {
			return nil
		}
		return c.b.Delete(key, nil)
	})
}

// voidExtras deletes the supplements that do not count any more, and adds their paths to lost.
func (c *change) voidExtras(lost map[event.Path]bool) error {
	return c.extras(func(key []byte, l event.Leaf) error {
		if c.facts.roster.MayWrite(l.Dot.Writer, l.Dot.Seq) == nil {
			return nil
		}
		lost[l.Event.Path] = true
		return c.b.Delete(key, nil)
	})
}

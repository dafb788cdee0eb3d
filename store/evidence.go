package store

import (
	"bytes"

	"github.com/bwaklog/meerkat/event"
)

// Evidence is the events from which the states of the paths with those keys follow, each with its proof: as many as fit into
// max bytes, but those of one key at least. Left are the keys that did not fit. An event whose segment was lost here is
// left out, for nobody would believe it. The slices are the caller's.
func (p *Pool) Evidence(keys []event.Key, max int) (evs []event.Proved, left []event.Key, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, nil, err
	}
	defer p.db.gate.leave()
	f, size := newFinder(p), 0
	for i, k := range keys {
		if size >= max {
			return evs, keys[i:], nil
		}
		more, err := p.evidenceOf(f, k)
		if err != nil {
			return nil, nil, wrap("prove states", err)
		}
		for _, e := range more {
			size += len(e.Raw) + len(e.Proof)
		}
		evs = append(evs, more...)
	}
	return evs, nil, nil
}

func (p *Pool) evidenceOf(f *finder, k event.Key) (evs []event.Proved, err error) {
	one := event.Range{Prefix: k, Depth: event.MaxDepth}
	err = p.scanItems(p.db.pebble, one, func(_ event.Item, path event.Path) error {
		e, err := p.entryFrom(p.db.pebble, path)
		if err != nil {
			return err
		}
		for _, ls := range [][]event.Leaf{e.state.Live, e.state.Witness} {
			for _, l := range ls {
				ev, ok, err := f.prove(l)
				if err != nil {
					return err
				}
				if ok {
					evs = append(evs, ev)
				}
			}
		}
		return nil
	})
	return evs, err
}

const finderHolds = 8 // segments, of at most event.MaxSegment bytes

// finder looks for events in the logs and beside them. It remembers the segments that it opened last.
type finder struct {
	p    *Pool
	held map[string]event.Segment // by key
}

func newFinder(p *Pool) *finder { return &finder{p: p, held: map[string]event.Segment{}} }

// prove finds the proof of l; false where the event is not here.
func (f *finder) prove(l event.Leaf) (ev event.Proved, ok bool, err error) {
	n, known := f.p.writers.number(l.Dot.Writer)
	if !known {
		return event.Proved{}, false, nil
	}
	db, seq := f.p.db.pebble, l.Dot.Seq
	err = scanFrom(db, f.p.space.log(n), f.p.space.logFrom(n, seq), func(key, row []byte) error {
		s, err := f.open(key, row)
		if err != nil {
			return err
		}
		if s.First > seq {
			if branchOf(key) == trunk {
				return errStop
			}
			return nil // another branch may still hold it
		}
		i := seq - s.First
		if s.Leaves[i].Hash != l.Hash || s.Leaves[i].Raw == nil {
			return nil
		}
		proof, err := s.Proof(int(i))
		if err != nil {
			return corrupt("segment: " + err.Error())
		}
		ev, ok = event.Proved{Raw: bytes.Clone(l.Raw), Proof: proof}, true
		return errStop
	})
	if ok || err != nil {
		return ev, ok, err
	}
	key := f.p.space.extra(n, seq, l.Hash)
	row, err := get(db, key)
	if err != nil || row == nil {
		return event.Proved{}, false, err
	}
	x, proof, err := f.p.writers.extraOf(key, row)
	return event.Proved{Raw: x.Raw, Proof: proof}, err == nil, err
}

func (f *finder) open(key, row []byte) (event.Segment, error) {
	if s, ok := f.held[string(key)]; ok {
		return s, nil
	}
	s, err := event.OpenSegment(f.p.id, bytes.Clone(row))
	if err != nil {
		return event.Segment{}, corrupt("segment: " + err.Error())
	}
	if len(f.held) >= finderHolds {
		clear(f.held)
	}
	f.held[string(key)] = s
	return s, nil
}

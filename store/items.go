package store

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// The set of states is what two nodes compare: the item of each path's state, in the order of a hash of the path. Sums
// of ranges are kept down to rangeDepth, so that the parts of a range above it are sixteen rows, and below it a range is one
// 4096th of all items.
const rangeDepth = 3

const keySize = 8

// item appends the key of the item of path.
func (s space) item(b []byte, k event.Key, path event.Path) []byte {
	return append(s.itemsFrom(b, k), path...)
}

func (s space) itemsFrom(b []byte, k event.Key) []byte {
	return binary.BigEndian.AppendUint64(s.table(b, tabItem), uint64(k))
}

// itemOf reads the key and the row of an item.
func itemOf(key, row []byte) (event.Item, event.Path, error) {
	rest := key[len(space{})+1:]
	if len(rest) <= keySize || len(row) != len(event.Hash{}) {
		return event.Item{}, "", corrupt("item of a state")
	}
	return event.Item{Key: event.Key(binary.BigEndian.Uint64(rest)), Hash: [32]byte(row)}, event.Path(rest[keySize:]), nil
}

// sum is the key of the sum of r.
func (s space) sum(r event.Range) []byte {
	return binary.BigEndian.AppendUint64(append(s.table(nil, tabRange), byte(r.Depth)), uint64(r.Prefix))
}

func rangeOf(key []byte) (event.Range, error) {
	rest := key[len(space{})+1:]
	if len(rest) != 1+keySize {
		return event.Range{}, corrupt("sum of a range")
	}
	r := event.Range{Depth: int(rest[0]), Prefix: event.Key(binary.BigEndian.Uint64(rest[1:]))}
	if !r.Valid() || r.Depth < 1 || r.Depth > rangeDepth {
		return event.Range{}, corrupt("sum of a range")
	}
	return r, nil
}

func parseSum(row []byte) (event.Sum, error) {
	s, err := event.ParseSum(row)
	if err != nil {
		return event.Sum{}, corrupt("sum of a range: " + err.Error())
	}
	return s, nil
}

// ranges calls f for each range that k is in and whose sum is kept.
func ranges(k event.Key, f func(event.Range)) {
	for r := (event.Range{}); r.Depth < rangeDepth; {
		r = r.Part(r.PartOf(k))
		f(r)
	}
}

// stateItem is what the set holds for a path; nil: nothing, for nothing is known or it was collected.
func stateItem(path event.Path, s entry) []byte {
	if !s.known() || s.collected {
		return nil
	}
	i := s.state.Item(path)
	return i[:]
}

// restate writes the items of all nodes whose state moved, in the order in which they stand.
func (c *change) restate() error {
	keys := make(map[*node]event.Key, len(c.restated))
	for _, n := range c.restated {
		keys[n] = event.KeyOf(n.path)
	}
	slices.SortFunc(c.restated, func(a, b *node) int { return cmp.Compare(keys[a], keys[b]) })
	for _, n := range c.restated {
		if err := c.restateNode(keys[n], n); err != nil {
			return err
		}
	}
	return nil
}

// restateNode puts the state of n in its place in the set. What it takes out is what the set holds, not what the tree row
// says: so sums and items agree with each other even where the tree row was damaged.
func (c *change) restateNode(k event.Key, n *node) error {
	c.key = c.p.space.item(c.key[:0], k, n.path)
	was, err := c.db.get(c.key)
	if err != nil {
		return err
	}
	now := stateItem(n.path, n.now)
	if string(was) == string(now) {
		return nil
	}
	diff, err := difference(was, now)
	if err != nil {
		return err
	}
	c.facts.sums.state.Join(diff)
	ranges(k, func(r event.Range) {
		s := c.drift[r]
		s.Join(diff)
		c.drift[r] = s
	})
	if now == nil {
		return c.b.Delete(c.key, nil)
	}
	return c.b.Set(c.key, now, nil)
}

// difference is the Sum that leads from the row of an item to another, where nil is no item.
func difference(was, now []byte) (diff event.Sum, err error) {
	if was != nil && len(was) != len(event.Hash{}) {
		return diff, corrupt("item of a state")
	}
	if was != nil {
		diff.Sub([32]byte(was))
	}
	if now != nil {
		diff.Add([32]byte(now))
	}
	return diff, nil
}

// settleRanges writes the sums that changed.
func (c *change) settleRanges() error {
	for _, r := range slices.SortedFunc(maps.Keys(c.drift), compareRanges) {
		if err := c.settleRange(r, c.drift[r]); err != nil {
			return err
		}
	}
	return nil
}

func compareRanges(a, b event.Range) int {
	return cmp.Or(cmp.Compare(a.Depth, b.Depth), cmp.Compare(a.Prefix, b.Prefix))
}

func (c *change) settleRange(r event.Range, diff event.Sum) error {
	key := c.p.space.sum(r)
	row, err := c.db.get(key)
	if err != nil {
		return err
	}
	var s event.Sum
	if row != nil {
		if s, err = parseSum(row); err != nil {
			return err
		}
	}
	s.Join(diff)
	if s == (event.Sum{}) {
		return c.b.Delete(key, nil)
	}
	return c.b.Set(key, s.Bytes(), nil)
}

// StateSums are the sums of the sixteen parts of r over the set of states, whose total is Stats().State. It reads sixteen
// rows, or for a range of depth 3 and more its items, of which there are n/4096 where hashes fall evenly. Of a range of
// MaxDepth, which has no parts, the first is the sum.
func (p *Pool) StateSums(r event.Range) (parts [event.FanOut]event.Sum, err error) {
	if err := p.db.gate.enter(); err != nil {
		return parts, err
	}
	defer p.db.gate.leave()
	if r.Depth < rangeDepth {
		err = p.storedSums(r, &parts)
	} else {
		err = p.scanItems(p.db.pebble, r, func(i event.Item, _ event.Path) error {
			n := 0
			if r.Depth < event.MaxDepth {
				n = r.PartOf(i.Key)
			}
			parts[n].Add(i.Hash)
			return nil
		})
	}
	return parts, wrap("sum states", err)
}

func (p *Pool) storedSums(r event.Range, parts *[event.FanOut]event.Sum) error {
	low, high := p.space.sum(r.Part(0)), p.space.sum(r.Part(event.FanOut-1))
	return scanBetween(p.db.pebble, low, after(high), func(key, row []byte) error {
		q, err := rangeOf(key)
		if err != nil {
			return err
		}
		parts[r.PartOf(q.Prefix)], err = parseSum(row)
		return err
	})
}

// scanItems calls f for each item of r, in order.
func (p *Pool) scanItems(from pebble.Reader, r event.Range, f func(event.Item, event.Path) error) error {
	low, high := p.space.itemsFrom(nil, r.First()), p.space.itemsFrom(nil, r.Last())
	return scanBetween(from, low, after(high), func(key, row []byte) error {
		i, path, err := itemOf(key, row)
		if err != nil {
			return err
		}
		return f(i, path)
	})
}

// StateItems are the first items of r, in order of their keys, at most max.
func (p *Pool) StateItems(r event.Range, max int) (items []event.Item, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	err = p.scanItems(p.db.pebble, r, func(i event.Item, _ event.Path) error {
		if len(items) >= max {
			return errStop
		}
		items = append(items, i)
		return nil
	})
	return items, wrap("list states", err)
}

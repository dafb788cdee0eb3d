package store

import "encoding/binary"

// voidsKey is the fact that [Pool.Voids] is kept in.
const voidsKey = "voids"

// Voids counts the changes that took rows out of the index because what they say does not count any more: a removal came,
// and files lie there of which nothing is known. It grows in the commit that takes the rows.
func (p *Pool) Voids() uint64 { return p.shown.Load().voids }

func (p *Pool) loadVoids() error {
	row, err := get(p.db.pebble, append(p.space.table(nil, tabFact), voidsKey...))
	if err != nil || row == nil {
		return err
	}
	r := &reader{b: row}
	p.latest.voids = r.uvarint()
	return r.end("count of voids")
}

// countVoids notes that the change took such rows, where it did.
func (c *change) countVoids() error {
	if !c.voids {
		return nil
	}
	c.facts.voids++
	return c.b.Set(append(c.p.space.table(nil, tabFact), voidsKey...), binary.AppendUvarint(nil, c.facts.voids), nil)
}

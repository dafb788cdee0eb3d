package store

import (
	"encoding/binary"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// SetFormat makes the state one of that format.
func (d *DB) SetFormat(v uint64) error {
	return d.pebble.Set([]byte{tabVersion}, binary.AppendUvarint(nil, v), pebble.Sync)
}

// Flush moves everything from the log into tables.
func (d *DB) Flush() error { return d.pebble.Flush() }

// Tables are the letters of the tables whose rows follow from others, and which Verify repairs.
const Tables = "tiduqcbma"

// Rows are the keys of a table.
func (p *Pool) Rows(table byte) (keys []string, err error) {
	err = scan(p.db.pebble, p.space.table(nil, table), func(key, _ []byte) error {
		keys = append(keys, string(key))
		return nil
	})
	return keys, err
}

// Break deletes a row behind the store's back, or, with row, writes it.
func (p *Pool) Break(key string, row []byte) error {
	if row == nil {
		return p.db.pebble.Delete([]byte(key), pebble.Sync)
	}
	return p.db.pebble.Set([]byte(key), row, pebble.Sync)
}

// Dump is all rows of the pool.
func (p *Pool) Dump() (map[string]string, error) {
	rows := map[string]string{}
	err := scan(p.db.pebble, p.space[:], func(key, val []byte) error {
		rows[string(key)] = string(val)
		return nil
	})
	return rows, err
}

// BreakSums makes the counts wrong.
func (p *Pool) BreakSums() {
	p.latest.sums.files++
	p.latest.sums.live.Add([32]byte{1})
}

// KeyOf is the key of path in a table.
func (p *Pool) KeyOf(table byte, path event.Path) string {
	return string(p.space.path(nil, table, path))
}

// Decode feeds row to the decoder of each table.
func (p *Pool) Decode(row []byte) []error {
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	_, err := p.writers.readEntry(row)
	add(err)
	_, _, err = p.writers.readHave(row)
	add(err)
	_, err = readNeed(row)
	add(err)
	_, _, err = readSums(row)
	add(err)
	_, err = readHead(event.Writer{}, row)
	add(err)
	_, err = readIntent("p", row)
	add(err)
	_, err = pathOf(append(make([]byte, len(p.space)+1), row...))
	add(err)
	_, err = refOf(append(make([]byte, len(p.space)+1), row...))
	add(err)
	_, err = rangeOf(append(make([]byte, len(p.space)+1), row...))
	add(err)
	_, err = parseSum(row)
	add(err)
	_, _, err = itemOf(append(make([]byte, len(p.space)+1), row...), row)
	add(err)
	_, _, err = p.writers.extraOf(append(make([]byte, len(p.space)+1), row...), row)
	add(err)
	return errs
}

// Recode decodes a row of the tree or of the index and encodes it again.
func (p *Pool) Recode(table byte, row []byte) ([]byte, error) {
	if table == tabTree {
		e, err := p.writers.readEntry(row)
		return p.writers.appendEntry(nil, e), err
	}
	h, current, err := p.writers.readHave(row)
	return p.writers.appendHave(nil, h, current), err
}

// Shorten writes the row of the sums as it was before copies were counted.
func (p *Pool) Shorten() error {
	s := p.latest.sums
	s.copies = 0
	row := s.append(nil)
	return p.db.pebble.Set(p.space.table(nil, tabSums), row[:len(row)-1], pebble.Sync)
}

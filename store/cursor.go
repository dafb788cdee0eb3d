package store

import (
	"bytes"
	"cmp"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// rows reads single rows of a pool, all as they were when the first of a table was read. Many rows of one table are read
// through an iterator: a look-up by itself opens every table file that may hold the key, which costs a hundred times as
// much as a step to a neighbouring row. It is of use to one goroutine; close it.
type rows struct {
	r     pebble.Reader
	reads [tables]struct {
		n  int
		it *pebble.Iterator
	}
}

const (
	tables  = 'z' + 1
	fewRows = 16 // of a table, that are looked up one by one
)

// get is a copy of the row, never nil when there is one. Keys that come in order are found fastest.
func (rs *rows) get(key []byte) ([]byte, error) {
	t := &rs.reads[key[len(space{})]]
	if t.n++; t.n <= fewRows {
		return get(rs.r, key)
	}
	if t.it == nil {
		var err error
		table := key[:len(space{})+1]
		if t.it, err = rs.r.NewIter(&pebble.IterOptions{LowerBound: bytes.Clone(table), UpperBound: after(table)}); err != nil {
			return nil, err
		}
	}
	if !t.it.SeekGE(key) || !bytes.Equal(t.it.Key(), key) {
		return nil, t.it.Error()
	}
	val, err := t.it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(val)), val...), nil
}

func (rs *rows) close() {
	for i := range rs.reads {
		if it := rs.reads[i].it; it != nil {
			_ = it.Close() // read only, and its error was looked at
		}
	}
}

// comparePaths orders paths as the keys of a table of paths stand.
func comparePaths(a, b event.Path) int {
	return cmp.Or(cmp.Compare(a.Dir(), b.Dir()), cmp.Compare(a, b))
}

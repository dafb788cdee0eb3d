package store

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// get is a copy of the row, never nil when there is one.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	val, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	row := append(make([]byte, 0, len(val)), val...)
	return row, closer.Close()
}

// scan calls f for each row whose key starts with prefix, in order. The slices are good during the call only.
func scan(r pebble.Reader, prefix []byte, f func(key, val []byte) error) error {
	return scanFrom(r, prefix, prefix, f)
}

// errStop ends a scan early and is no error.
var errStop = errors.New("stop")

// scanFrom is scan from the key from on.
func scanFrom(r pebble.Reader, prefix, from []byte, f func(key, val []byte) error) error {
	if bytes.Compare(from, prefix) < 0 {
		from = prefix
	}
	return scanBetween(r, from, after(prefix), f)
}

// scanBetween is scan over the keys from low on and before high.
func scanBetween(r pebble.Reader, low, high []byte, f func(key, val []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return err
	}
	err = walk(it, f)
	return errors.Join(err, it.Close())
}

func walk(it *pebble.Iterator, f func(key, val []byte) error) error {
	for ok := it.First(); ok; ok = it.Next() {
		val, err := it.ValueAndErr()
		if err == nil {
			err = f(it.Key(), val)
		}
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return it.Error()
}

package store_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// FuzzRows feeds bytes to the decoder of every table: each takes them or says that the state is damaged. Rows of the
// tree and of the index that are taken can be written again, and then stay the same.
func FuzzRows(f *testing.F) {
	c := newClan(f, 2)
	p := openClan(f, c)
	drafts, puts := forest(c, 3)
	if _, err := p.Commit(store.Tx{Segments: c.authors[0].say(f, drafts...), Put: puts}); err != nil {
		f.Fatal(err)
	}
	if _, err := p.Append(c.authors[1].say(f, one(c, "dir000/file00001.txt", "rival"), one(c, "implied/f", "x"))...); err != nil {
		f.Fatal(err)
	}
	link := event.Value{Kind: event.Link, Target: "t", Mode: event.LinkMode}
	_, err := p.Commit(store.Tx{Put: map[event.Path]store.Have{"l": {Known: event.Known{Value: link}, Racy: true}, "t": {}}})
	if err = errors.Join(err, p.Begin([]store.Intent{{Path: "l", Old: link, New: file("x")}})); err != nil {
		f.Fatal(err)
	}
	rows, err := p.Dump()
	if err != nil {
		f.Fatal(err)
	}
	for key, row := range rows {
		f.Add([]byte(row))
		f.Add([]byte(key[6:]))
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		for i, err := range p.Decode(row) {
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("decoder %d: %v, want ErrCorrupt", i, err)
			}
		}
		for _, table := range []byte("ti") {
			once, err := p.Recode(table, row)
			if err != nil {
				continue
			}
			twice, err := p.Recode(table, once)
			if err != nil || !bytes.Equal(once, twice) {
				t.Errorf("table %c: %x written again is %x, and then %x (%v)", table, row, once, twice, err)
			}
		}
	})
}

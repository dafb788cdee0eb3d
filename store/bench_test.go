package store_test

import (
	"fmt"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// forest is a draft for each of n new files in n/100 directories, and for those.
func forest(c *clan, n int) (drafts []event.Event, puts map[event.Path]store.Have) {
	puts = map[event.Path]store.Have{}
	add := func(p event.Path, v event.Value) {
		drafts = append(drafts, event.Change(p, event.Known{}, v, c.now()))
		puts[p] = have(len(puts)+1, v)
	}
	for i := range n {
		dir := event.Path(fmt.Sprintf("dir%03d", i/100))
		if i%100 == 0 {
			add(dir, dirValue)
		}
		add(dir.Join(fmt.Sprintf("file%05d.txt", i)), file(fmt.Sprint(i)))
	}
	return drafts, puts
}

func benchPool(b *testing.B, c *clan) (*store.Pool, func()) {
	d := open(b, vfs.Default, b.TempDir())
	return enter(b, d, c), func() {
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit writes the first index of 10,000 files.
func BenchmarkCommit(b *testing.B) {
	c := newClan(b, 1)
	drafts, puts := forest(c, 10_000)
	segs := c.authors[0].say(b, drafts...)
	for b.Loop() {
		b.StopTimer()
		p, done := benchPool(b, c)
		b.StartTimer()
		if _, err := p.Commit(store.Tx{Segments: segs, Put: puts}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		done()
		b.StartTimer()
	}
}

// BenchmarkAppend takes in 10,000 events of another member.
func BenchmarkAppend(b *testing.B) {
	c := newClan(b, 1)
	drafts, _ := forest(c, 10_000)
	segs := c.authors[0].say(b, drafts...)
	for b.Loop() {
		b.StopTimer()
		p, done := benchPool(b, c)
		b.StartTimer()
		if _, err := p.Append(segs...); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		done()
		b.StartTimer()
	}
}

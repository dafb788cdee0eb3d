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

// BenchmarkHaveDir reads the index of 200,000 files as a rescan does, a directory at a time.
func BenchmarkHaveDir(b *testing.B) {
	const n = 200_000
	c := newClan(b, 1)
	p, done := benchPool(b, c)
	defer done()
	drafts, puts := forest(c, n)
	if _, err := p.Commit(store.Tx{Segments: c.authors[0].say(b, drafts...), Put: puts}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		for i := range n / 100 {
			err := p.HaveDir(event.Path(fmt.Sprintf("dir%03d", i)), func(string, store.Have) bool { rows++; return true })
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkEdit makes one small change durable.
func BenchmarkEdit(b *testing.B) {
	c := newClan(b, 1)
	p, done := benchPool(b, c)
	defer done()
	drafts, puts := forest(c, 10_000)
	a := c.authors[0]
	if _, err := p.Commit(store.Tx{Segments: a.say(b, drafts...), Put: puts}); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		path := event.Path(fmt.Sprintf("dir%03d/file%05d.txt", i%100, i%100*100))
		h, _, err := p.Have(path)
		if err != nil {
			b.Fatal(err)
		}
		v := file(fmt.Sprint("edit", i))
		segs := a.say(b, event.Change(path, h.Known, v, c.now()))
		if _, err := p.Commit(store.Tx{Segments: segs, Put: map[event.Path]store.Have{path: have(i, v)}}); err != nil {
			b.Fatal(err)
		}
	}
}

package store_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Many paths looked up together say what each says by itself: known ones, unknown ones, in any order, twice.
func TestSightsAreWhatEachPathSays(t *testing.T) {
	c := newClan(t, 1)
	p := openClan(t, c)
	drafts, puts := forest(c, 500)
	if _, err := p.Commit(store.Tx{Segments: c.authors[0].say(t, drafts[:300]...), Put: puts}); err != nil {
		t.Fatal(err)
	}
	var paths []event.Path
	for i := range 600 {
		paths = append(paths, event.Path(fmt.Sprintf("dir%03d/file%05d.txt", i/100, i)), event.Path(fmt.Sprintf("dir%03d", i%9)), "nothing")
	}
	seed := rand.Uint64()
	for _, order := range []string{"sorted", "shuffled"} {
		sights, err := p.Sights(paths)
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range paths {
			h, known, err := p.Have(path)
			if err != nil {
				t.Fatal(err)
			}
			v, err := p.View(path)
			if err != nil {
				t.Fatal(err)
			}
			if want := (store.Sight{Have: h, Known: known, View: v}); !reflect.DeepEqual(sights[i], want) {
				t.Fatalf("%s, seed %d: %s is %+v, want %+v", order, seed, path, sights[i], want)
			}
		}
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	}
	if s, err := p.Sights(nil); err != nil || len(s) != 0 {
		t.Errorf("Sights of nothing = %v, %v", s, err)
	}
}

// A path whose tombstone was collected is known to be clear, so that who makes a file there has seen that it was deleted.
func TestSightsOfWhatWasCollected(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	bury(t, c, p, "f")
	collect(t, p, store.Ripe{Before: c.now(), Known: known(p)})
	h, ok, err := p.Have("f")
	if err != nil {
		t.Fatal(err)
	}
	want := store.Sight{Have: h, Known: ok, View: must[event.View](t)(p.View("f"))}
	if got := must[[]store.Sight](t)(p.Sights([]event.Path{"f"})); !reflect.DeepEqual(got, []store.Sight{want}) {
		t.Errorf("Sights = %+v, want %+v", got, want)
	}
}

// BenchmarkFirstIndex looks up and commits 100,000 new files, as a first scan does.
func BenchmarkFirstIndex(b *testing.B) {
	const n, each = 100_000, 4096
	c := newClan(b, 1)
	drafts, puts := forest(c, n)
	for b.Loop() {
		b.StopTimer()
		d := open(b, vfs.Default, b.TempDir())
		p := enter(b, d, c)
		b.StartTimer()
		for from := 0; from < len(drafts); from += each {
			part := drafts[from:min(from+each, len(drafts))]
			tx := store.Tx{Put: map[event.Path]store.Have{}}
			var paths []event.Path
			for _, e := range part {
				paths = append(paths, e.Path)
				tx.Put[e.Path] = puts[e.Path]
			}
			if _, err := p.Sights(paths); err != nil {
				b.Fatal(err)
			}
			tx.Segments = c.authors[0].say(b, part...)
			if _, err := p.Commit(tx); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

package store_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
)

// tangle is a log with as many branches as its author, who is to be removed, liked to sign.
type tangle struct {
	c    *clan
	segs []event.Segment
}

func newTangle(t testing.TB, r *rapid.T) *tangle {
	k := &tangle{c: newClan(t, 2)}
	liar := k.c.authors[1]
	ends := []event.Head{liar.head}
	for range rapid.IntRange(1, 12).Draw(r, "segments") {
		at := *liar
		at.head = ends[rapid.IntRange(max(0, len(ends)-3), len(ends)-1).Draw(r, "parent")]
		var drafts []event.Event
		for range rapid.IntRange(1, 3).Draw(r, "events") {
			var base event.Vector
			if seq := rapid.Uint64Range(0, at.head.Seq).Draw(r, "seen"); seq > 0 {
				base = event.Vector{at.head.Writer: seq}
			}
			drafts = append(drafts, event.Change(anyPath(r), event.Known{Base: base}, anyValue(r), k.c.now()))
		}
		k.segs = append(k.segs, at.say(t, drafts...)...)
		ends = append(ends, at.head)
	}
	return k
}

func (k *tangle) writer() event.Writer { return k.c.authors[1].head.Writer }

// removal ends the author's membership somewhere in its log.
func (k *tangle) removal(t testing.TB, r *rapid.T) pool.Record {
	cut := event.Vector{k.writer(): rapid.Uint64Range(0, 16).Draw(r, "cut")}
	rec, err := k.c.roster.Remove(k.c.authors[0].key, k.c.authors[1].id, cut, k.c.now())
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// feed has p take segments in some order, some never.
func (k *tangle) feed(t testing.TB, r *rapid.T, p *store.Pool, name string) {
	for range rapid.IntRange(1, 2*len(k.segs)).Draw(r, name) {
		s := rapid.SampledFrom(k.segs).Draw(r, "segment")
		if _, err := p.Append(s); err != nil && !mayHappen(err) {
			t.Fatalf("Append: %v", err)
		}
	}
}

func mayHappen(err error) bool {
	_, gap := errors.AsType[store.ErrGap](err)
	_, fork := errors.AsType[store.ErrFork](err)
	return gap || fork || errors.Is(err, pool.ErrRemoved)
}

// copyOf is a new store with the segments that p has.
func (k *tangle) copyOf(t testing.TB, p *store.Pool, rec pool.Record) *store.Pool {
	q := openClan(t, k.c)
	must[int](t)(q.AddRecords([]pool.Record{rec}))
	has := endsOf(t, p, k.writer())
	for range k.segs { // a branch that comes before what it follows is taken later
		for _, s := range k.segs {
			if slices.Contains(has, s.Head()) {
				if _, err := q.Append(s); err != nil && !mayHappen(err) {
					t.Fatalf("Append: %v", err)
				}
			}
		}
	}
	return q
}

func endsOf(t testing.TB, p *store.Pool, w event.Writer) []event.Head {
	ends := must[[]event.Head](t)(p.Ends(w, 0, math.MaxInt))
	slices.SortFunc(ends, func(a, b event.Head) int { return a.Hash.Compare(b.Hash) })
	return ends
}

// TestLogsAreSets: what a store says of a log, and what state it has, follows from the segments that it holds and that count, however they
// came, what else had come before a removal took it away, and also after a new start.
func TestLogsAreSets(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		k := newTangle(t, r)
		rec := k.removal(t, r)
		fs := vfs.NewMem()
		d := open(t, fs, "state")
		p := enter(t, d, k.c)
		k.feed(t, r, p, "before")
		must[int](t)(p.AddRecords([]pool.Record{rec}))
		k.feed(t, r, p, "after")
		want, stats := p.Extents(), p.Stats()
		if faults, err := p.Verify(false); err != nil || len(faults) > 0 {
			r.Fatalf("Verify = %v, %v", faults, err)
		}
		q := k.copyOf(t, p, rec)
		same := slices.Equal(endsOf(t, p, k.writer()), endsOf(t, q, k.writer()))
		if same != slices.Equal(want, q.Extents()) {
			r.Fatalf("the same segments: %v; extents %v and %v", same, want, q.Extents())
		}
		if same && stats != q.Stats() {
			r.Fatalf("of the same segments states %+v and %+v", stats, q.Stats())
		}
		f, ok := p.Fork(k.writer())
		if ok == chained(endsOf(t, p, k.writer()), k.segs) {
			r.Fatalf("Fork = %+v, %v of %v", f, ok, endsOf(t, p, k.writer()))
		}
		if err := d.Close(); err != nil {
			r.Fatal(err)
		}
		d = open(t, fs, "state")
		defer func() { _ = d.Close() }() // the test is over
		p = must[*store.Pool](t)(d.Pool(k.c.id))
		if g, was := p.Fork(k.writer()); !slices.Equal(p.Extents(), want) || g != f || ok != was {
			r.Fatalf("after a new start Extents = %v, want %v; Fork = %+v, %v, want %+v, %v", p.Extents(), want, g, was, f, ok)
		}
	})
}

// chained tells whether the segments with those ends are one chain from the beginning.
func chained(ends []event.Head, segs []event.Segment) bool {
	at, n := event.Head{}, 0
	for {
		i := slices.IndexFunc(segs, func(s event.Segment) bool {
			return s.First == at.Seq+1 && s.Prev == at.Hash && slices.Contains(ends, s.Head())
		})
		if i < 0 {
			return n == len(ends)
		}
		at, n = segs[i].Head(), n+1
	}
}

// TestAForkBehindTheCutIsNone: once a removal has taken what was said twice, what is left is a log like any other.
func TestAForkBehindTheCutIsNone(t *testing.T) {
	c := newClan(t, 2)
	b := c.authors[1]
	first := b.say(t, one(c, "first", "1"))
	twin := *b
	long := b.say(t, one(c, "l1", "1"), one(c, "l2", "2"), one(c, "l3", "3")) // 2 to 4
	short := append(twin.say(t, one(c, "s1", "1")), twin.say(t, one(c, "s2", "2"))...)
	p, q := openClan(t, c), openClan(t, c)
	must[store.Result](t)(p.Append(first...))
	must[store.Result](t)(p.Append(long...))
	if _, err := p.Append(short...); !mayHappen(err) || err == nil {
		t.Fatalf("Append of the other branch: %v", err)
	}
	must[store.Result](t)(q.Append(slices.Concat(first, short)...))
	cut := event.Vector{b.head.Writer: 1}
	rec, err := c.roster.Remove(c.authors[0].key, b.id, cut, c.now())
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []*store.Pool{p, q} {
		must[int](t)(at.AddRecords([]pool.Record{rec}))
	}
	if !slices.Equal(p.Extents(), q.Extents()) || p.Stats() != q.Stats() {
		t.Errorf("Extents = %v and %v, Stats = %+v and %+v", p.Extents(), q.Extents(), p.Stats(), q.Stats())
	}
	if h, _ := p.Head(b.head.Writer); h != first[0].Head() || len(p.Forks()) != 0 {
		t.Errorf("Head = %v, want that of what is left, %v; Forks = %v", h, first[0].Head(), p.Forks())
	}
}

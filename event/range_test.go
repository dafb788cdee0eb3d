package event_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/bwaklog/meerkat/event"
)

func anyRange(r *rapid.T) event.Range {
	d := rapid.IntRange(0, event.MaxDepth).Draw(r, "depth")
	out := event.Range{}
	for range d {
		out = out.Part(rapid.IntRange(0, event.FanOut-1).Draw(r, "part"))
	}
	return out
}

// TestPartsOfARangeAreTheRange: each key of a range lies in exactly one part, the one that PartOf names, and parts lie side by
// side.
func TestPartsOfARangeAreTheRange(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		whole := anyRange(r)
		if !whole.Valid() || !whole.Has(whole.First()) || !whole.Has(whole.Last()) {
			r.Fatalf("%+v is not valid, or lacks its ends", whole)
		}
		k := event.Key(rapid.Uint64().Draw(r, "key"))
		if in := k >= whole.First() && k <= whole.Last(); in != whole.Has(k) {
			r.Fatalf("%+v.Has(%x) = %v, want %v", whole, k, !in, in)
		}
		if whole.Depth == event.MaxDepth {
			return
		}
		k = whole.First() | k&(whole.Last()-whole.First())
		next := whole.First()
		for i := range event.FanOut {
			p := whole.Part(i)
			if !p.Valid() || p.First() != next || p.Has(k) != (whole.PartOf(k) == i) {
				r.Fatalf("part %d of %+v = %+v: begins at %x or has %x wrongly", i, whole, p, next, k)
			}
			next = p.Last() + 1
		}
		if next != whole.Last()+1 {
			r.Fatalf("parts of %+v end before %x", whole, next)
		}
	})
}

func TestRangesThatAreNone(t *testing.T) {
	for _, r := range []event.Range{{Depth: -1}, {Depth: 17}, {Prefix: 1, Depth: 15}, {Prefix: 1}} {
		if r.Valid() {
			t.Errorf("%+v is taken for a range", r)
		}
	}
}

// TestSumsOfDifferences: a Sum that holds a difference leads from the one set to the other.
func TestSumsOfDifferences(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var was, now, diff event.Sum
		for range rapid.IntRange(0, 20).Draw(r, "items") {
			item := event.RecordItem(event.Hash{byte(rapid.IntRange(0, 255).Draw(r, "item"))}).Hash
			if rapid.Bool().Draw(r, "was") {
				was.Add(item)
				diff.Sub(item)
			}
			if rapid.Bool().Draw(r, "is") {
				now.Add(item)
				diff.Add(item)
			}
		}
		was.Join(diff)
		if was != now {
			r.Fatalf("joined = %+v, want %+v", was, now)
		}
	})
}

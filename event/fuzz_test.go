package event_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bwaklog/meerkat/event"
)

func fuzzSegment(f *testing.F) event.Segment {
	a := newAuthor(1)
	a.say(event.Event{Path: "first", Value: dir(0o755)})
	return must(event.Seal(a.key, testPool, a.head, nil, samples(a)))(f)[0]
}

func FuzzOpenSegment(f *testing.F) {
	s := fuzzSegment(f)
	f.Add(s.Raw)
	f.Add(must(s.Prune(func(event.Leaf) bool { return true }))(f).Raw)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := event.OpenSegment(testPool, b)
		if err == nil && (len(s.Leaves) == 0 || s.Hash.IsZero()) {
			t.Errorf("opened an empty segment: %+v", s)
		}
		if w, werr := event.WriterOf(b); err == nil && (werr != nil || w != s.Writer) {
			t.Errorf("WriterOf = %v, %v, want %v", w, werr, s.Writer)
		}
	})
}

func FuzzOpenLeaf(f *testing.F) {
	s := fuzzSegment(f)
	for _, l := range s.Leaves {
		f.Add(l.Raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newAuthor(1)
		a.head.Seq, a.head.Hash = 1, event.Hash{1}
		l, err := event.OpenLeaf(event.Dot{Writer: a.head.Writer, Seq: 2}, b)
		if err != nil {
			return
		}
		again, err := a.seal(l.Event)
		if err != nil {
			t.Fatalf("an opened event cannot be sealed: %v", err)
		}
		// Unknown fields are left out by the second sealing: then it is a prefix.
		if !bytes.HasPrefix(b, again[0].Raw) {
			t.Errorf("two encodings of %+v", l.Event)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	for _, l := range fuzzSegment(f).Leaves {
		f.Add(stateOf(l).Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := event.DecodeState(b); err == nil {
			if !bytes.Equal(s.Encode(), b) {
				t.Error("two encodings of a state")
			}
			s.View(true)
		}
	})
}

func FuzzDecodeVector(f *testing.F) {
	f.Add(event.Vector{{Node: "x", Epoch: 1}: 3, newAuthor(1).head.Writer: 300}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := event.DecodeVector(b); err == nil && !bytes.Equal(v.Append(nil), b) {
			t.Error("two encodings of a vector")
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"a/b", ".meerkat", "a//b", "..", "a\x00", ".meerkat2/x", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := event.ParsePath(b)
		if err == nil && (p.Dir().Join(p.Base()) != p || string(p) != string(b) || p.Under(".meerkat")) {
			t.Errorf("path %q", p)
		}
	})
}

func TestSumIsOfASet(t *testing.T) {
	var s, o event.Sum
	items := [][32]byte{{0: 255}, {0: 255, 31: 1}, {31: 255}}
	for i := range items {
		s.Add(items[i])
		o.Add(items[len(items)-1-i])
	}
	if s != o || s.Fingerprint(nil) != o.Fingerprint(nil) || s.Fingerprint([]byte{1}) == s.Fingerprint(nil) {
		t.Error("the sum depends on the order, or not on the nonce")
	}
	if got := must(event.ParseSum(s.Bytes()))(t); got != s || got.Count() != 3 {
		t.Error(cmp.Diff(fmt.Sprint(s), fmt.Sprint(got)))
	}
	for _, it := range items {
		s.Sub(it)
	}
	if s != (event.Sum{}) {
		t.Errorf("emptied sum is %v", s)
	}
}

func benchDrafts() []event.Event {
	o := newAuthor(9).head.Writer
	var es []event.Event
	for i := range 10_000 {
		e := event.Event{Path: event.Path(fmt.Sprintf("dir-%03d/file-%05d.txt", i/100, i)), Value: file(fmt.Sprint(i), 0o644, 1790000000e9), HLC: 1 << 60}
		if i%2 == 0 {
			e.Ctx = event.Vector{o: uint64(i + 1)}
		}
		es = append(es, e)
	}
	return es
}

func BenchmarkSeal(b *testing.B) {
	a, drafts := newAuthor(1), benchDrafts()
	b.ReportAllocs()
	for b.Loop() {
		must(event.Seal(a.key, testPool, a.head, nil, drafts))(b)
	}
	b.ReportMetric(float64(b.N*len(drafts))/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkOpen(b *testing.B) {
	a, drafts := newAuthor(1), benchDrafts()
	segs := must(event.Seal(a.key, testPool, a.head, nil, drafts))(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range segs {
			must(event.OpenSegment(testPool, s.Raw))(b)
		}
	}
	b.ReportMetric(float64(b.N*len(drafts))/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkLatestIn(b *testing.B) {
	a, drafts := newAuthor(1), benchDrafts()
	segs := must(event.Seal(a.key, testPool, a.head, nil, drafts))(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range segs {
			must(event.LatestIn(s.Raw))(b)
		}
	}
	b.ReportMetric(float64(b.N*len(drafts))/b.Elapsed().Seconds(), "events/s")
}

package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// items are those that follow from the states of the paths.
func (m *model) items() (items []event.Item) {
	for p, s := range m.states {
		if m.gone[p] {
			continue
		}
		items = append(items, event.Item{Key: event.KeyOf(p), Hash: s.Item(p)})
	}
	slices.SortFunc(items, func(a, b event.Item) int {
		if a.Key < b.Key {
			return -1
		}
		return 1 // no two of these paths have one key
	})
	return items
}

// checkSet compares the set of states with a naive one, in ranges of all depths around a path.
func (w *world) checkSet(r *rapid.T) {
	all := w.model.items()
	got, err := w.pool.StateItems(event.Range{}, 1000)
	if err != nil || !slices.Equal(got, all) {
		r.Fatalf("StateItems = %v, %v, want %v", got, err, all)
	}
	k := event.KeyOf(anyPath(r))
	for in := (event.Range{}); ; in = in.Part(in.PartOf(k)) {
		var want [event.FanOut]event.Sum
		for _, i := range all {
			switch {
			case !in.Has(i.Key):
			case in.Depth == event.MaxDepth:
				want[0].Add(i.Hash)
			default:
				want[in.PartOf(i.Key)].Add(i.Hash)
			}
		}
		if sums, err := w.pool.StateSums(in); err != nil || sums != want {
			r.Fatalf("StateSums(%+v) = %v, %v, want %v", in, sums, err, want)
		}
		if in.Depth == event.MaxDepth {
			return
		}
	}
}

// opened are the supplements that the evidence of p for keys gives.
func opened(t testing.TB, c *clan, p *store.Pool, keys ...event.Key) (ss []store.Supplement) {
	t.Helper()
	evs, left, err := p.Evidence(keys, 1<<20)
	if err != nil || len(left) > 0 {
		t.Fatalf("Evidence: %v left, %v", left, err)
	}
	for _, e := range evs {
		l, err := event.VerifyProof(c.id, e.Proof, e.Raw)
		if err != nil {
			t.Fatalf("evidence does not prove itself: %v", err)
		}
		ss = append(ss, store.Supplement{Leaf: l, Proof: e.Proof})
	}
	return ss
}

func keysOf(t testing.TB, p *store.Pool) (keys []event.Key) {
	t.Helper()
	for _, i := range must[[]event.Item](t)(p.StateItems(event.Range{}, 1<<20)) {
		keys = append(keys, i.Key)
	}
	return keys
}

// TestEvidenceMakesTheState: what one node shows of its paths gives another, which has no log at all, the same state; the logs come
// later and take the place of the supplements.
func TestEvidenceMakesTheState(t *testing.T) {
	c, p := mixed(t)
	q := openClan(t, c)
	ss := opened(t, c, p, keysOf(t, p)...)
	res := must[store.Result](t)(q.Supplement(ss...))
	if res.New != len(ss) || q.Stats().State != p.Stats().State || q.Stats().Root != p.Stats().Root {
		t.Errorf("Supplement = %d new of %d, state %v, want %v", res.New, len(ss), q.Stats().State, p.Stats().State)
	}
	if hs := q.Heads(); len(hs) > 0 {
		t.Errorf("heads %v moved", hs)
	}
	noFaults(t, q)
	if again := must[store.Result](t)(q.Supplement(ss...)); again.New != 0 || len(again.Paths) != 0 {
		t.Errorf("Supplement again = %+v, want nothing", again)
	}
	if passed := opened(t, c, q, keysOf(t, q)...); len(passed) != len(ss) {
		t.Errorf("%d of %d events can be passed on", len(passed), len(ss))
	}
	for _, h := range p.Heads() {
		for _, raw := range must[[][]byte](t)(p.After(h.Writer, 0, 1<<30)) {
			must[store.Result](t)(q.Append(must[event.Segment](t)(event.OpenSegment(c.id, raw))))
		}
	}
	if rows := must[[]string](t)(q.Rows('x')); len(rows) > 0 {
		t.Errorf("%d supplements stay beside the log that holds them", len(rows))
	}
	if q.Stats().State != p.Stats().State || !slices.Equal(q.Heads(), p.Heads()) {
		t.Errorf("state %v, want %v", q.Stats().State, p.Stats().State)
	}
	noFaults(t, q)
}

// TestSupplementsCountByTheRoster: those of a stranger are refused, and those beyond the cut of a removal go, as segments do.
func TestSupplementsCountByTheRoster(t *testing.T) {
	c := newClan(t, 2)
	p, q := openClan(t, c), openClan(t, c)
	must[store.Result](t)(p.Append(c.authors[1].say(t, one(c, "kept", "k"))...))
	cut := event.Vector{c.authors[1].head.Writer: 1}
	must[store.Result](t)(p.Append(c.authors[1].say(t, one(c, "gone", "g"))...))
	ss := opened(t, c, p, keysOf(t, p)...)

	stranger := newClan(t, 3).authors[2]
	stranger.pool = c.id
	s := stranger.say(t, one(c, "forged", "f"))[0]
	forged := store.Supplement{Leaf: s.Leaves[0], Proof: must[[]byte](t)(s.Proof(0))}
	if res, err := q.Supplement(append(ss, forged)...); !errors.Is(err, pool.ErrNotMember) || res.New != 2 {
		t.Errorf("Supplement = %+v, %v, want two new and ErrNotMember", res, err)
	}
	rec, err := c.roster.Remove(c.authors[0].key, c.authors[1].id, cut, c.now())
	c.grow(t, rec, err)
	for _, at := range []*store.Pool{p, q} {
		must[int](t)(at.AddRecords(c.records))
		noFaults(t, at)
	}
	if p.Stats() != q.Stats() || p.Stats().Files != 1 {
		t.Errorf("after the removal %+v and %+v, want one file and the same", p.Stats(), q.Stats())
	}
}

// TestScrubFoldsALostStateAnew: a row of the tree that is lost or garbled comes back as the logs say.
func TestScrubFoldsALostStateAnew(t *testing.T) {
	const path = "dir000/file00003.txt"
	for name, row := range map[string][]byte{"lost": nil, "garbled": {0xff, 1, 2}} {
		_, p := mixed(t)
		whole := must[map[string]string](t)(p.Dump())
		if faults := must[[]store.Fault](t)(p.Scrub(t.Context())); len(faults) > 0 {
			t.Errorf("%s: Scrub of a whole pool = %v", name, faults)
		}
		for _, p2 := range []event.Path{path, "dir000", "implied/by/this"} {
			if err := p.Break(p.KeyOf('t', p2), row); err != nil {
				t.Fatal(err)
			}
		}
		if faults := must[[]store.Fault](t)(p.Scrub(t.Context())); len(faults) == 0 {
			t.Errorf("%s: Scrub found nothing", name)
		}
		noFaults(t, p)
		got := must[map[string]string](t)(p.Dump())
		reason := p.KeyOf('d', "implied/by/this") // only people know it
		delete(whole, reason)
		delete(got, reason)
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("%s: rows after the scrub (-want +got):\n%s", name, diff)
		}
	}
}

// TestScrubShowsALostState: a path of which the tree and the set know nothing any more shows in the sums after a scrub, and the
// evidence of a member brings it back.
func TestScrubShowsALostState(t *testing.T) {
	const path = "dir000/file00003.txt"
	c, p := mixed(t)
	want := p.Stats()
	ss := opened(t, c, p, event.KeyOf(path))
	for _, key := range must[[]string](t)(p.Rows('m')) {
		if strings.HasSuffix(key, path) {
			must[struct{}](t)(struct{}{}, p.Break(key, nil))
		}
	}
	must[struct{}](t)(struct{}{}, p.Break(p.KeyOf('t', path), nil))
	if p.Stats().State != want.State {
		t.Error("the sums show it before anybody looked")
	}
	if faults := must[[]store.Fault](t)(p.Scrub(t.Context())); len(faults) == 0 || p.Stats().State == want.State {
		t.Errorf("Scrub = %v, and the sums stay", faults)
	}
	noFaults(t, p)
	must[store.Result](t)(p.Supplement(ss...))
	if got := p.Stats(); got != want {
		t.Errorf("healed to %+v, want %+v", got, want)
	}
	noFaults(t, p)
}

// TestScrubFindsWrongSets: rows of the set itself that are lost are made anew from the tree.
func TestScrubFindsWrongSets(t *testing.T) {
	_, p := mixed(t)
	want := p.Stats()
	for _, table := range []byte("ma") {
		if err := p.Break(must[[]string](t)(p.Rows(table))[0], nil); err != nil {
			t.Fatal(err)
		}
		if faults := must[[]store.Fault](t)(p.Scrub(t.Context())); len(faults) == 0 {
			t.Errorf("Scrub missed a row of %c", table)
		}
		noFaults(t, p)
	}
	if p.Stats() != want {
		t.Errorf("Stats = %+v, want %+v", p.Stats(), want)
	}
}

// BenchmarkStateSums asks for the parts of ranges of each depth, of a pool with 100,000 paths.
func BenchmarkStateSums(b *testing.B) {
	c := newClan(b, 1)
	d := open(b, vfs.NewMem(), "state")
	b.Cleanup(func() { _ = d.Close() })
	p := enter(b, d, c)
	drafts, _ := forest(c, 100_000)
	if _, err := p.Append(c.authors[0].say(b, drafts...)...); err != nil {
		b.Fatal(err)
	}
	k := event.KeyOf("dir000")
	for in := (event.Range{}); in.Depth < 5; in = in.Part(in.PartOf(k)) {
		b.Run(fmt.Sprint("depth", in.Depth), func(b *testing.B) {
			for b.Loop() {
				if _, err := p.StateSums(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("scrub", func(b *testing.B) {
		for b.Loop() {
			if f, err := p.Scrub(b.Context()); err != nil || len(f) > 0 {
				b.Fatal(f, err)
			}
		}
	})
}

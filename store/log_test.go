package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// one is a draft of a new file.
func one(c *clan, p event.Path, text string) event.Event {
	return event.Change(p, event.Known{}, file(text), c.now())
}

func TestOrderOfDeliveryDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := newClan(t, 3)
		w := &world{t: t, c: c, model: newModel(), said: make([][]event.Segment, 3)}
		var done []func()
		defer func() {
			for _, f := range done {
				f()
			}
		}()
		fresh := func() *store.Pool {
			d := open(t, vfs.NewMem(), "state")
			done = append(done, func() { _ = d.Close() }) // the test is over
			return enter(t, d, c)
		}
		w.pool = fresh()
		for range rapid.IntRange(1, 8).Draw(r, "steps") {
			w.write(r)
			w.next(r) // so that later ones have seen earlier ones
		}
		x, y := fresh(), fresh()
		for _, segs := range w.said {
			must[store.Result](t)(x.Append(segs...))
		}
		for pending := slices.Clone(w.said); len(pending) > 0; {
			i := rapid.IntRange(0, len(pending)-1).Draw(r, "whose")
			if len(pending[i]) == 0 {
				pending = slices.Delete(pending, i, i+1)
				continue
			}
			must[store.Result](t)(y.Append(pending[i][0]))
			pending[i] = pending[i][1:]
		}
		if x.Stats() != y.Stats() {
			r.Errorf("Stats differ: %+v and %+v", x.Stats(), y.Stats())
		}
		if !slices.Equal(x.Heads(), y.Heads()) {
			r.Errorf("Heads differ: %v and %v", x.Heads(), y.Heads())
		}
	})
}

func TestAppendTakesWhatItCan(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	a, b := c.authors[0], c.authors[1]
	first, second, third := a.say(t, one(c, "1", "1")), a.say(t, one(c, "2", "2")), a.say(t, one(c, "3", "3"))
	other := b.say(t, one(c, "b", "b"))
	res, err := p.Append(slices.Concat(first, third, other)...)
	var gap store.ErrGap
	if !errors.As(err, &gap) || gap.Writer != a.head.Writer || gap.Have != 1 {
		t.Errorf("Append = %v, want a gap behind 1", err)
	}
	if res.New != 2 {
		t.Errorf("Append = %d new, want what stands before the gap and the other writer's", res.New)
	}
	must[store.Result](t)(p.Append(slices.Concat(second, third)...))
	if h, _ := p.Head(a.head.Writer); h != a.head {
		t.Errorf("Head = %v, want %v", h, a.head)
	}
}

func TestAppendRefusesStrangers(t *testing.T) {
	c, other := newClan(t, 1), newClan(t, 2)
	p := openClan(t, c)
	key, id := newKey(t, "stranger")
	stranger := c.author(key, id)
	if _, err := p.Append(stranger.say(t, one(c, "x", "x"))...); !errors.Is(err, pool.ErrNotMember) {
		t.Errorf("Append of a stranger: %v, want ErrNotMember", err)
	}
	foreign := other.authors[0]
	foreign.pool = event.PoolID{1}
	if _, err := p.Append(foreign.say(t, one(c, "x", "x"))...); !errors.Is(err, store.ErrForeign) {
		t.Errorf("Append of another pool's: %v, want ErrForeign", err)
	}
	if s := p.Stats(); s.Files != 0 || len(p.Heads()) != 0 {
		t.Errorf("refused segments left traces: %+v, %v", s, p.Heads())
	}
}

func TestAppendBeforeGenesis(t *testing.T) {
	c := newClan(t, 1)
	d := open(t, vfs.NewMem(), "state")
	defer func() { _ = d.Close() }() // the test is over
	p := must[*store.Pool](t)(d.Pool(c.id))
	if p.Roster() != nil {
		t.Errorf("Roster = %v, want none yet", p.Roster())
	}
	if _, err := p.Append(c.authors[0].say(t, one(c, "x", "x"))...); !errors.Is(err, store.ErrNoGenesis) {
		t.Errorf("Append = %v, want ErrNoGenesis", err)
	}
}

func TestAfterPagesThroughALog(t *testing.T) {
	c := newClan(t, 1)
	p := openClan(t, c)
	a := c.authors[0]
	var all [][]byte
	for i := range 20 {
		for _, s := range a.say(t, one(c, event.Path(fmt.Sprint(i)), "x"), one(c, event.Path(fmt.Sprint("b", i)), "y")) {
			must[store.Result](t)(p.Append(s))
			all = append(all, s.Raw)
		}
	}
	var got [][]byte
	for seq := uint64(0); ; {
		raws := must[[][]byte](t)(p.After(a.head.Writer, seq, 3*len(all[0])+1))
		if len(raws) == 0 {
			break
		}
		if len(raws) > 3 {
			t.Fatalf("After = %d segments, want at most 3", len(raws))
		}
		s, err := event.OpenSegment(c.id, raws[len(raws)-1])
		if err != nil {
			t.Fatal(err)
		}
		seq, got = s.Last(), append(got, raws...)
	}
	if !slices.EqualFunc(got, all, bytes.Equal) {
		t.Errorf("After gave %d segments, want the %d that were appended", len(got), len(all))
	}
	if raws := must[[][]byte](t)(p.After(a.head.Writer, 4, 1)); !bytes.Equal(raws[0], all[2]) {
		t.Error("After with a tiny limit is not the one segment that holds the next seq")
	}
	if raws := must[[][]byte](t)(p.After(a.head.Writer, 3, 1)); !bytes.Equal(raws[0], all[1]) {
		t.Error("After in the middle of a segment is not that segment")
	}
	if raws := must[[][]byte](t)(p.After(a.head.Writer, math.MaxUint64, 1)); len(raws) != 0 {
		t.Errorf("After the end of all = %d segments", len(raws))
	}
}

// split makes two logs of one writer that share their first segment.
func split(t *testing.T, c *clan) (common, left, right []event.Segment) {
	a := c.authors[0]
	common = a.say(t, one(c, "common", "common"))
	twin := *a
	left = append(a.say(t, one(c, "l", "left")), a.say(t, one(c, "both", "left"))...)
	right = append(twin.say(t, one(c, "r", "right")), twin.say(t, one(c, "both", "right"))...)
	return common, left, right
}

func TestForkKeepsBothBranches(t *testing.T) {
	c := newClan(t, 1)
	common, left, right := split(t, c)
	x, y := openClan(t, c), openClan(t, c)
	must[store.Result](t)(x.Append(slices.Concat(common, left)...))
	res, err := x.Append(right...)
	var f store.ErrFork
	if !errors.As(err, &f) || f.Seq != 2 || f.Hole || !bytes.Equal(f.Ours, left[0].Raw) || !bytes.Equal(f.Theirs, right[0].Raw) {
		t.Fatalf("Append of the other branch: %v, want the fork at 2 with its proof", err)
	}
	if res.New != 2 {
		t.Errorf("Append = %d new, want both events of the other branch", res.New)
	}
	_, err = y.Append(slices.Concat(common, right, left)...)
	if !errors.As(err, &f) {
		t.Fatalf("Append of both branches at once: %v, want a fork", err)
	}
	if f.Ours == nil {
		t.Error("the proof lacks our own branch, which came in the same call")
	}
	if x.Stats() != y.Stats() {
		t.Errorf("states depend on which branch came first: %+v and %+v", x.Stats(), y.Stats())
	}
	if res, err := x.Append(right...); err != nil || res.New != 0 {
		t.Errorf("Append of a known branch = %+v, %v, want nothing", res, err)
	}
	if h, _ := x.Head(c.authors[0].head.Writer); h != left[1].Head() {
		t.Errorf("Head = %v, want that of the branch that came first", h)
	}
	raws := must[[][]byte](t)(x.After(c.authors[0].head.Writer, 0, math.MaxInt))
	if len(raws) != 5 {
		t.Errorf("After = %d segments, want both branches", len(raws))
	}
	w := c.authors[0].head.Writer
	if f, ok := x.Fork(w); !ok || f.From != 2 || f.Hole || len(x.Forks()) != 1 {
		t.Errorf("Fork = %+v, %v, want one from 2 on", f, ok)
	}
	if !slices.Equal(x.Extents(), y.Extents()) || slices.Equal(x.Extents(), x.Heads()) {
		t.Errorf("Extents = %v and %v, want the same, and no head", x.Extents(), y.Extents())
	}
}

func TestForkWithoutItsStartIsAHole(t *testing.T) {
	c := newClan(t, 1)
	common, left, right := split(t, c)
	p := openClan(t, c)
	must[store.Result](t)(p.Append(slices.Concat(common, left[:1])...))
	_, err := p.Append(right[1])
	var f store.ErrFork
	if !errors.As(err, &f) || !f.Hole {
		t.Fatalf("Append = %v, want a fork with a hole", err)
	}
	if v := must[event.View](t)(p.View("both")); !v.Value.Same(file("right")) {
		t.Errorf("View = %+v, want what the other branch says", v.Value)
	}
	_, _ = p.Append(right[0]) // says again that it is a fork
	_, err = p.Append(left[1])
	if err != nil {
		t.Errorf("Append of our own branch: %v", err)
	}
}

// TestForksAreReadWhileTheyGrow: what a reader of a forked log holds is not what Append changes. The race detector sees it.
func TestForksAreReadWhileTheyGrow(t *testing.T) {
	c := newClan(t, 1)
	a := c.authors[0]
	common, left, right := split(t, c)
	p := openClan(t, c)
	must[store.Result](t)(p.Append(slices.Concat(common, left)...))
	if _, err := p.Append(right[1]); err == nil {
		t.Fatal("a segment whose start is missing makes no fork")
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = p.Forks()
			}
		}
	}()
	for i := range 20 {
		must[store.Result](t)(p.Append(a.say(t, one(c, event.Path(fmt.Sprint("more", i)), "x"))...))
	}
	close(stop)
	<-done
	if f, ok := p.Fork(a.head.Writer); !ok || !f.Hole || f.Head.Seq != a.head.Seq {
		t.Errorf("Fork = %+v, %v, want one with a hole up to %d", f, ok, a.head.Seq)
	}
}

func TestRemovalTakesEffectOnTheTree(t *testing.T) {
	c := newClan(t, 2)
	p, q := openClan(t, c), openClan(t, c)
	admin, b := c.authors[0], c.authors[1]
	early := b.say(t, one(c, "early", "1"), one(c, "both", "old"))
	cut := event.Vector{b.head.Writer: b.head.Seq}
	known := must[event.View](t)(func() (event.View, error) {
		_, err := p.Append(early...)
		if err != nil {
			return event.View{}, err
		}
		return p.View("both")
	}()).Known()
	late := b.say(t, one(c, "late", "2"), event.Change("both", known, file("new"), c.now()))
	must[store.Result](t)(q.Append(early...))
	must[store.Result](t)(q.Append(late...))
	v := file("2")
	must[store.Result](t)(q.Commit(store.Tx{Put: map[event.Path]store.Have{"late": have(1, v), "both": have(2, file("new"))}}))
	rec, err := c.roster.Remove(admin.key, b.id, cut, c.now())
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []*store.Pool{p, q} {
		if n := must[int](t)(at.AddRecords([]pool.Record{rec})); n != 1 {
			t.Errorf("AddRecords = %d, want 1", n)
		}
	}
	if p.Voids() != 0 || q.Voids() != 1 {
		t.Errorf("Voids = %d and %d, want 0 and 1: it is q that lost rows", p.Voids(), q.Voids())
	}
	if p.Stats() != q.Stats() {
		t.Errorf("the tree depends on what came before the removal: %+v and %+v", p.Stats(), q.Stats())
	}
	if !slices.Equal(p.Heads(), q.Heads()) {
		t.Errorf("Heads = %v and %v", p.Heads(), q.Heads())
	}
	for _, path := range []event.Path{"late", "both"} {
		if _, ok, err := q.Have(path); ok || err != nil {
			t.Errorf("Have(%s) = %v, %v, want no row, so that the file is found anew", path, ok, err)
		}
	}
	if _, err := q.Append(late...); !errors.Is(err, pool.ErrRemoved) {
		t.Errorf("Append of what was cut off: %v, want ErrRemoved", err)
	}
	if faults, err := q.Verify(false); err != nil || len(faults) > 0 {
		t.Errorf("Verify = %v, %v", faults, err)
	}
}

// TestACutWithinASegment: what it covers counts, deletions as well, whichever came first; and all counts again where it turns out that the
// removal does not hold.
func TestACutWithinASegment(t *testing.T) {
	c := newClan(t, 3)
	admin, b, second := c.authors[0], c.authors[1], c.authors[2]
	rec, err := c.roster.SetRole(admin.key, second.id, pool.Admin, nil, c.now())
	c.grow(t, rec, err)
	before := admin.say(t, one(c, "gone", "1"))
	p, q := openClan(t, c), openClan(t, c)
	must[store.Result](t)(p.Append(before...))
	must[store.Result](t)(q.Append(before...))
	gone := must[event.View](t)(p.View("gone")).Known()
	segs := b.say(t, event.Change("gone", gone, event.Value{}, c.now()), one(c, "kept", "1"), one(c, "never came", "1"))
	must[store.Result](t)(p.Append(segs...))
	all := p.Stats()
	cut := event.Vector{b.head.Writer: 2}
	removal, err := c.roster.Remove(second.key, b.id, cut, c.now())
	if err != nil {
		t.Fatal(err)
	}
	unseen, err := c.roster.Remove(admin.key, second.id, nil, c.now()) // concurrent, by somebody senior
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []*store.Pool{p, q} {
		must[int](t)(at.AddRecords([]pool.Record{removal}))
	}
	must[store.Result](t)(q.Append(segs...))
	for name, at := range map[string]*store.Pool{"before": p, "after": q} {
		for path, live := range map[event.Path]bool{"gone": false, "kept": true, "never came": false} {
			if v := must[event.View](t)(at.View(path)); v.Value.Live() != live {
				t.Errorf("the segment came %s the removal: %s lives: %v, want %v", name, path, v.Value.Live(), live)
			}
		}
	}
	if p.Stats() != q.Stats() || !slices.Equal(p.Extents(), q.Extents()) {
		t.Errorf("it depends on what came first: %+v and %+v, %v and %v", p.Stats(), q.Stats(), p.Extents(), q.Extents())
	}
	for _, at := range []*store.Pool{p, q} {
		must[int](t)(at.AddRecords([]pool.Record{unseen}))
		if at.Roster().Holds(removal.Hash) {
			t.Fatal("the removal holds: this test shows nothing")
		}
		if at.Stats() != all {
			t.Errorf("after the removal was void: %+v, want %+v", at.Stats(), all)
		}
		if faults, err := at.Verify(false); err != nil || len(faults) > 0 {
			t.Errorf("Verify = %v, %v", faults, err)
		}
	}
}

func TestRosterIsKept(t *testing.T) {
	c := newClan(t, 3)
	fs := vfs.NewMem()
	d := open(t, fs, "state")
	p := must[*store.Pool](t)(d.Pool(c.id))
	if _, err := p.AddRecords(c.records[1:]); !errors.Is(err, store.ErrNoGenesis) {
		t.Errorf("AddRecords without a genesis: %v", err)
	}
	// The last member's record comes before that of the one in between.
	if n := must[int](t)(p.AddRecords([]pool.Record{c.records[0], c.records[2]})); n < 1 {
		t.Errorf("AddRecords = %d", n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, fs, "state")
	defer func() { _ = d.Close() }() // the test is over
	p = must[*store.Pool](t)(d.Pool(c.id))
	must[int](t)(p.AddRecords(c.records[1:2]))
	if p.Roster().Digest() != c.roster.Digest() {
		t.Errorf("roster has %d members, want all %d", len(p.Roster().Members()), len(c.roster.Members()))
	}
	if n := must[int](t)(p.AddRecords(c.records)); n != 0 {
		t.Errorf("AddRecords of known ones = %d", n)
	}
}

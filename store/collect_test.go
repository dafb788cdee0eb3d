package store_test

import (
	"context"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// bury has b make a file at path and delete it, and the node apply that; it gives what the file's author signed.
func bury(t *testing.T, c *clan, p *store.Pool, path event.Path) store.Supplement {
	t.Helper()
	hear(t, c, p, path, file("1"))
	old := opened(t, c, p, event.KeyOf(path))[0]
	hear(t, c, p, path, event.Value{})
	put(t, p, store.Tx{Put: map[event.Path]store.Have{path: {}}})
	return old
}

func known(p *store.Pool) event.Vector {
	v := event.Vector{}
	for _, h := range p.Heads() {
		v[h.Writer] = h.Seq
	}
	return v
}

func collect(t *testing.T, p *store.Pool, r store.Ripe) (done, left int) {
	t.Helper()
	done, left, err := p.Collect(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	noFaults(t, p)
	return done, left
}

func TestCollectWaitsForAgeAndForAllMembers(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	bury(t, c, p, "old")
	first, young := known(p), c.now()
	bury(t, c, p, "new")
	hear(t, c, p, "here", file("2"))
	hear(t, c, p, "wanted", file("3"))
	hear(t, c, p, "wanted", event.Value{})
	for what, r := range map[string]struct {
		store.Ripe
		done, left int
	}{
		"what members lack": {store.Ripe{Before: c.now(), Known: event.Vector{}}, 0, 3},
		"what is young":     {store.Ripe{Before: 1, Known: known(p)}, 0, 0},
	} {
		if done, left := collect(t, p, r.Ripe); done != r.done || left != r.left {
			t.Errorf("%s: %d collected, %d left; want %d, %d", what, done, left, r.done, r.left)
		}
	}
	if done, _ := collect(t, p, store.Ripe{Before: young, Known: first}); done != 1 {
		t.Errorf("%d collected, want the old one", done)
	}
	if done, left := collect(t, p, store.Ripe{Before: c.now(), Known: known(p)}); done != 1 || left != 1 {
		t.Errorf("%d collected, %d left; want the new one, and that which is not applied here to stay", done, left)
	}
	if n := p.Stats().State.Count(); n != 2 {
		t.Errorf("%d states in the set, want 2", n)
	}
}

func TestWhatWasCollectedDoesNotComeBack(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	old := bury(t, c, p, "f")
	before, have, ok := must[event.View](t)(p.View("f")), store.Have{}, false
	collect(t, p, store.Ripe{Before: c.now(), Known: known(p)})
	if res, err := p.Supplement(old); err != nil || res.New != 0 {
		t.Errorf("Supplement = %+v, %v, want nothing new of what was deleted long ago", res, err)
	}
	if v := must[event.View](t)(p.View("f")); v.Value.Live() || !v.Base.Equal(before.Base) {
		t.Errorf("view = %+v, want the tombstone with base %v", v, before.Base)
	}
	if n := p.Stats().State.Count(); n != 0 {
		t.Errorf("%d states in the set, want none", n)
	}
	have, ok, err := p.Have("f")
	if err != nil || !ok || have.Known.Value.Live() {
		t.Fatalf("Have = %+v, %v, %v, want a path known to be clear", have, ok, err)
	}
	// Somebody makes the file anew: its event has seen the tombstone, so there is nothing to resolve.
	e := event.Change("f", have.Known, file("1"), c.now())
	put(t, p, store.Tx{Segments: c.authors[0].say(t, e), Put: row("f", file("1"))})
	if v := must[event.View](t)(p.View("f")); !v.Value.SameContent(file("1")) || !v.Settled || len(must[event.State](t)(p.State("f")).Live) != 1 {
		t.Errorf("view = %+v, want the new file alone", v)
	}
	noFaults(t, p)
}

// Who never knew of the deletion says something: the path's state is then what it is for those who have not collected it.
func TestWhatIsSaidLaterBringsTheTombstoneBack(t *testing.T) {
	c := newClan(t, 3)
	p := openClan(t, c)
	bury(t, c, p, "f")
	tomb := must[event.State](t)(p.State("f"))
	collect(t, p, store.Ripe{Before: c.now(), Known: known(p)})
	segs := c.authors[2].say(t, event.Change("f", event.Known{}, file("2"), c.now()))
	must[store.Result](t)(p.Append(segs...))
	want, _ := tomb.Add(segs[0].Leaves[0])
	if s := must[event.State](t)(p.State("f")); s.Item("f") != want.Item("f") {
		t.Errorf("state = %+v, want %+v", s, want)
	}
	if n := p.Stats().State.Count(); n != 1 {
		t.Errorf("%d states in the set, want 1", n)
	}
	noFaults(t, p)
}

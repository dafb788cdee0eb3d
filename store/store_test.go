package store_test

import (
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestCommitSettlesAll(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	a := c.authors[0]
	v := file("one")
	segs := a.say(t,
		event.Change("d", event.Known{}, dirValue, c.now()),
		event.Change("d/f", event.Known{}, v, c.now()))
	res, err := p.Commit(store.Tx{Segments: segs, Put: map[event.Path]store.Have{"d": have(1, dirValue), "d/f": have(2, v)}})
	if err != nil {
		t.Fatal(err)
	}
	if res.New != 2 || len(res.Paths) != 2 {
		t.Errorf("Commit = %+v", res)
	}
	s := p.Stats()
	if s.Files != 1 || s.Dirs != 1 || s.Bytes != v.Size {
		t.Errorf("Stats = %+v", s)
	}
	if n := p.Needs("", 10); len(n) != 0 {
		t.Errorf("Needs = %+v, want none", n)
	}
	h, ok, err := p.Have("d/f")
	if err != nil || !ok {
		t.Fatalf("Have = %v, %v", ok, err)
	}
	if !h.Known.Base.Covers(event.Dot{Writer: a.head.Writer, Seq: 2}) {
		t.Errorf("base %v does not cover the author's own event", h.Known.Base)
	}
}

// A status asks for the number of conflict copies again and again, while a
// tree of any size is indexed: it is counted, not looked for.
func TestStatsCountConflictCopies(t *testing.T) {
	c := newClan(t, 1)
	fs := vfs.NewMem()
	db := open(t, fs, "state")
	p := enter(t, db, c)
	a := c.authors[0]
	plain := event.Change("f.txt", event.Known{}, file("one"), c.now())
	s := a.say(t, plain)
	at := event.ConflictName("f.txt", s[0].Leaves[0])
	s = append(s, a.say(t, event.Change(at, event.Known{}, file("two"), c.now()))...)
	if _, err := p.Append(s...); err != nil {
		t.Fatal(err)
	}
	if n := p.Stats().Copies; n != 1 {
		t.Errorf("Copies = %d, want 1", n)
	}
	if err := p.Shorten(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, fs, "state")
	defer db.Close() // in memory
	again := enter(t, db, c)
	if n := again.Stats().Copies; n != 1 {
		t.Errorf("Copies = %d where the row did not say, want 1", n)
	}
	last := s[1].Leaves[0]
	gone := event.Change(at, event.Known{Base: event.Vector{a.head.Writer: last.Dot.Seq}, CDot: last.Dot, MDot: last.Dot}, event.Value{Kind: event.Tomb}, c.now())
	if _, err := again.Append(a.say(t, gone)...); err != nil {
		t.Fatal(err)
	}
	if n := again.Stats().Copies; n != 0 {
		t.Errorf("Copies = %d after the copy was deleted, want 0", n)
	}
	if faults, err := again.Verify(false); err != nil || len(faults) != 0 {
		t.Errorf("Verify = %v, %v", faults, err)
	}
}

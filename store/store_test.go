package store_test

import (
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
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

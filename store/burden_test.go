package store_test

import (
	"fmt"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

func TestHonestAuthorsAreNoBurden(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	for i := range 300 { // one path again and again, and many others
		known := event.Known{}
		if i > 0 {
			known = must[event.View](t)(p.View("busy")).Known()
		}
		segs := c.authors[i%2].say(t, event.Change("busy", known, file(fmt.Sprint(i)), c.now()), one(c, event.Path(fmt.Sprint("f", i)), "x"))
		if res := must[store.Result](t)(p.Append(segs...)); res.Burdens != nil {
			t.Fatalf("change %d: Burdens = %v, want none", i, res.Burdens)
		}
	}
}

func TestSiblingsAndWideVectorsAreABurden(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	var rivals []event.Event
	for i := range 100 {
		rivals = append(rivals, one(c, "one path", fmt.Sprint(i)))
	}
	liar, honest := c.authors[0], c.authors[1]
	res := must[store.Result](t)(p.Append(append(liar.say(t, rivals...), honest.say(t, one(c, "one path", "honest"))...)...))
	if b := res.Burdens[liar.head.Writer.Node]; b.Cost < 90 || b.Cost > 100 || b.Deaf != 100 {
		t.Errorf("100 siblings: %+v, want a cost of about as many, all of them deaf", b)
	}
	if b, ok := res.Burdens[honest.head.Writer.Node]; ok {
		t.Errorf("another author at the same path: %+v, want none", b)
	}
	wide := one(c, "vector", "x")
	for i := range uint64(500) {
		wide.Ctx = wide.Ctx.With(event.Dot{Writer: event.Writer{Node: honest.head.Writer.Node, Epoch: i + 1}, Seq: 1})
	}
	res = must[store.Result](t)(p.Append(liar.say(t, wide)...))
	if b := res.Burdens[liar.head.Writer.Node]; b.Cost < 400 || b.Cost > 500 {
		t.Errorf("a vector of 500 writers: %+v, want a cost of about as many", b)
	}
}

func TestManyLogsAreABurden(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	liar, cost := *c.authors[1], 0
	for i := range uint64(200) {
		liar.head = event.Head{Writer: event.Writer{Node: liar.id, Epoch: i + 1}}
		res := must[store.Result](t)(p.Append(liar.say(t, one(c, event.Path(fmt.Sprint("p", i)), "x"))...))
		cost += res.Burdens[liar.id].Cost
		if i < 50 && cost > 0 {
			t.Fatalf("%d logs cost %d, want nothing: a node that lost its state often has some", i+1, cost)
		}
	}
	if cost < 100 || cost > 200 {
		t.Errorf("200 logs cost %d, want one for each of many", cost)
	}
}

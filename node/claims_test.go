package node

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// A report that names heads nobody can bring must not keep a pool in `fetching`.
func TestClaimThatBringsNothingLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := func(epoch uint64) event.Writer { return event.Writer{Node: "x", Epoch: epoch} }
		at := func(seq uint64) []event.Head { return []event.Head{{Writer: w(1), Seq: seq}} }
		claimed := func(seq uint64) *report { return &report{Heads: map[event.Writer]uint64{w(1): seq}} }
		var c claims
		ahead := func(rep *report, heads []event.Head) bool { return c.credible(liar, rep, heads, time.Now()) }
		if ahead(nil, at(5)) || ahead(claimed(5), at(5)) || c.open(time.Now()) {
			t.Error("who claims nothing is believed to be ahead")
		}
		if !ahead(claimed(9), at(5)) || !c.open(time.Now()) {
			t.Error("a fresh claim is not believed")
		}
		time.Sleep(claimPatience - time.Second)
		if !ahead(claimed(9), at(6)) { // some of it came
			t.Error("a claim is not believed while it is made good")
		}
		time.Sleep(claimPatience - time.Second)
		if !ahead(claimed(math.MaxUint64), at(6)) {
			t.Error("not believed for as long as it might take")
		}
		for range 3 { // whatever is claimed anew, and with honest reports in between
			time.Sleep(time.Second)
			if ahead(claimed(math.MaxUint64), at(6)) || ahead(claimed(6), at(6)) || ahead(claimed(8), at(6)) {
				t.Error("still believed though nothing came")
			}
		}
		time.Sleep(2 * guardEvery)
		if c.open(time.Now()) {
			t.Error("still watched when it has lapsed")
		}
		if !ahead(claimed(9), at(7)) {
			t.Error("not believed again though more came")
		}
		time.Sleep(claimMemory + time.Second)
		if !ahead(claimed(9), at(7)) {
			t.Error("remembered for ever")
		}
	})
}

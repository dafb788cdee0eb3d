package node

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// TestWhatAPowerCutLeavesIsNoEdit tells damage from what people do.
func TestWhatAPowerCutLeavesIsNoEdit(t *testing.T) {
	const me, other = peer.ID("me"), peer.ID("other")
	row := func(author peer.ID, kind event.Kind, ctime int64) store.Have {
		return store.Have{
			Stat:  store.Stat{CTime: ctime},
			Known: event.Known{Value: event.Value{Kind: kind}, CDot: event.Dot{Writer: event.Writer{Node: author}, Seq: 1}},
		}
	}
	file := func(ctime int64) folder.Seen {
		return folder.Seen{Value: event.Value{Kind: event.File}, Stat: folder.Stat{CTime: ctime}}
	}
	gone := folder.Seen{Gone: true}
	tests := map[string]struct {
		seen   folder.Seen
		have   store.Have
		intact bool // the power did not fail
		want   bool
	}{
		"an earlier state of a file":             {file(150), row(me, event.File, 200), false, true},
		"the same change, other bytes":           {file(200), row(me, event.File, 200), false, true},
		"a later change":                         {file(250), row(me, event.File, 200), false, false},
		"an earlier state of what was safe":      {file(40), row(me, event.File, 90), false, false},
		"an earlier state of what others wrote":  {file(150), row(other, event.File, 200), false, false},
		"a new file that is missing":             {gone, row(me, event.File, 200), false, true},
		"a file that was safe and is missing":    {gone, row(me, event.File, 90), false, false},
		"a deletion that was undone":             {file(90), row(me, event.Tomb, 0), false, true},
		"a file made where one was deleted":      {file(300), row(me, event.Tomb, 0), false, false},
		"an earlier state, without a power cut":  {file(150), row(me, event.File, 200), true, false},
		"a missing new file, without power cut":  {gone, row(me, event.File, 200), true, false},
		"a returned file, without a power cut":   {file(90), row(me, event.Tomb, 0), true, false},
		"a deletion that is still one":           {gone, row(me, event.Tomb, 0), false, false},
		"a new directory that is missing":        {gone, row(me, event.Dir, 200), false, true},
		"an older object under a file's name":    {file(10), row(me, event.File, 200), false, true},
		"what others wrote and somebody deleted": {gone, row(other, event.File, 200), false, false},
	}
	for name, c := range tests {
		r := &replica{self: me, wet: wet{dry: 100, cut: !c.intact}}
		if got := r.damaged(c.seen, c.have); got != c.want {
			t.Errorf("%s: damaged = %v, want %v", name, got, c.want)
		}
	}
}

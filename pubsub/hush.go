package pubsub

import (
	"math"
	"slices"

	"github.com/bwaklog/meerkat/event"
)

// muted claims to know all of the authors from whom nothing is wanted now: so it is not sent.
func (x *exchange) muted(h have) have {
	if x.f.conf.Muted == nil {
		return h
	}
	h.heads = slices.Clone(h.heads)
	for i := range h.heads {
		w := h.heads[i].Writer
		if !x.f.conf.Muted(x.r.id, w.Node) {
			continue
		}
		h.heads[i].Seq = math.MaxUint64
		if w.Node == x.peer {
			x.hush(w)
		}
	}
	return h
}

// hush notes that the peer was told not to send a log of its own.
func (x *exchange) hush(w event.Writer) {
	if x.hushed == nil {
		x.hushed = map[event.Writer]bool{}
	}
	x.hushed[w] = true
}

// unasked says whether there is a segment among raws that the peer was told not to send.
func (x *exchange) unasked(raws [][]byte) bool {
	if len(x.hushed) == 0 {
		return false
	}
	return slices.ContainsFunc(raws, func(raw []byte) bool {
		w, err := event.WriterOf(raw)
		return err == nil && x.hushed[w]
	})
}

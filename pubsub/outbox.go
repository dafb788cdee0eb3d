package pubsub

import (
	"slices"
	"sync"

	"github.com/bwaklog/meerkat/event"
)

const (
	maxQueued           = 64      // whole segments that wait; beyond, their writer's head is hinted
	sendRate, sendBurst = 50, 100 // announcements a second of this node, well below what others take of one author
)

// outbox is what this node still has to announce in one pool. It forgets nothing: what does not fit shrinks to a hint, and
// hints of one writer to the newest.
type outbox struct {
	wake nudge

	mu     sync.Mutex
	segs   []event.Segment
	hints  map[event.Writer]event.Head
	latest []byte                  // report
	told   map[event.Writer]uint64 // what the members connected to us have been told of, by us or others
}

func newOutbox() *outbox {
	return &outbox{wake: newNudge(), hints: map[event.Writer]event.Head{}, told: map[event.Writer]uint64{}}
}

// segment queues a segment, its head alone where it is too long or too many wait.
func (o *outbox) segment(s event.Segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tellLocked(s.Writer, s.Last())
	if len(s.Raw) > MaxWhole || len(o.segs) >= maxQueued {
		o.hintLocked(s.Head())
	} else {
		o.segs = append(o.segs, s)
	}
	o.wake.poke()
}

// news queues hints of the heads that nobody has told the neighbours of.
func (o *outbox) news(hs []event.Head) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range hs {
		if h.Seq > o.told[h.Writer] {
			o.tellLocked(h.Writer, h.Seq)
			o.hintLocked(h)
		}
	}
	o.wake.poke()
}

// heard notes that the neighbours have been told of heads by somebody.
func (o *outbox) heard(hs []event.Head) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range hs {
		o.tellLocked(h.Writer, h.Seq)
	}
}

func (o *outbox) report(raw []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.latest = slices.Clone(raw)
	o.wake.poke()
}

func (o *outbox) tellLocked(w event.Writer, seq uint64) { o.told[w] = max(o.told[w], seq) }

func (o *outbox) hintLocked(h event.Head) {
	if h.Seq >= o.hints[h.Writer].Seq {
		o.hints[h.Writer] = h
	}
}

// empty tells whether nothing waits.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.segs) == 0 && len(o.hints) == 0 && o.latest == nil
}

// next takes what is to be sent first: a segment, up to maxHint hints, a report. Something must wait.
func (o *outbox) next() any {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.segs) > 0:
		s := o.segs[0]
		o.segs = slices.Delete(o.segs, 0, 1)
		return whole(s.Raw)
	case len(o.hints) > 0:
		var hs hint
		for w, h := range o.hints {
			if len(hs) == maxHint {
				break
			}
			hs = append(hs, h)
			delete(o.hints, w)
		}
		return hs
	}
	raw := o.latest
	o.latest = nil
	return report(raw)
}

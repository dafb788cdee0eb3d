package node

import (
	"github.com/bwaklog/meerkat/event"
)

const (
	textRewound = "members know changes of this node that its state does not: it was restored from a backup, or another machine runs with its identity; " +
		"it goes on as a new writer, and nothing is lost"
	textTwin = "another machine runs with this node's identity: both go on as writers of their own, and nothing is lost, " +
		"but one of them should get an identity of its own (stop it, remove identity.key and state from its home, and invite it again)"
)

// ownNews are the segments in segs that this node's identity has signed and
// its state does not hold.
func (r *replica) ownNews(segs []event.Segment) []event.Segment {
	var out []event.Segment
	for _, s := range segs {
		if s.Writer.Node != r.self {
			continue
		}
		if head, _ := r.st.Head(s.Writer); s.Last() > head.Seq {
			out = append(out, s)
		}
	}
	return out
}

// seenSelf draws the conclusion from segments that bear this node's signature
// and came from others: the state was rolled back, or somebody else writes as
// this node. What they say counts in any case.
func (r *replica) seenSelf(news []event.Segment) error {
	if len(news) == 0 || !r.merged() {
		return nil // a state that was lost gets its own history back like any other
	}
	r.disk.Lock()
	defer r.disk.Unlock()
	for _, s := range news {
		switch {
		case s.Writer == r.writer:
			r.notice("state_rewound", textRewound)
			return r.newEpochLocked("members know later changes of this node")
		case s.Writer.Epoch > r.writer.Epoch || r.madeNow(s):
			return r.twinLocked()
		}
	}
	return nil
}

// madeNow reports whether a segment was signed since this run began.
func (r *replica) madeNow(s event.Segment) bool {
	l := s.Leaves[len(s.Leaves)-1]
	return l.Raw != nil && l.Event.HLC.Time().After(r.began)
}

// twinLocked tells of a second machine and leaves the epoch that it may share.
func (r *replica) twinLocked() error {
	if r.notice("twin", textTwin) {
		r.repeat.Store(true) // so that the other one knows as well
		r.reportNow.poke()
	}
	if r.exclusive {
		return nil
	}
	return r.newEpochLocked("another machine writes as this node")
}

// ownFork is a proof that two different things bear one dot of this node.
func (r *replica) ownFork(w event.Writer) error {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.notice("twin", textTwin)
	if w != r.writer {
		return nil
	}
	return r.newEpochLocked("another machine signed a change of the same number")
}

// ownReport is a report that bears this node's signature and came from others:
// one that was made since this run began, and not by it, is a twin's.
func (r *replica) ownReport(rep *report) error {
	r.mu.Lock()
	known := r.sent.has(rep.Time)
	r.mu.Unlock()
	if known || !rep.Time.Time().After(r.began) {
		return nil
	}
	r.disk.Lock()
	defer r.disk.Unlock()
	return r.twinLocked()
}

// stampsKept is how many reports of its own a node knows again.
const stampsKept = 4096

// stamps remembers when this run signed reports. The zero value is ready.
type stamps struct {
	known map[event.HLC]bool
	order []event.HLC
}

func (s *stamps) add(t event.HLC) {
	if s.known == nil {
		s.known = map[event.HLC]bool{}
	}
	s.known[t], s.order = true, append(s.order, t)
	if len(s.order) > stampsKept {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
}

// has reports true also for what is too old to tell.
func (s *stamps) has(t event.HLC) bool {
	return s.known[t] || len(s.order) == stampsKept && t < s.order[0]
}

package node

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
)

const (
	// quotaMost is how many paths of one author may wait here for their content
	// before more of its changes are put off. What arrives makes room again.
	quotaMost  = 50_000
	quotaLeast = 1_000 // room from which on an author is heard again
	quotaFlow  = 5 * time.Second
	quotaASec  = 20 // room made by time alone: whoever is put off is heard in the end
)

// errHoarder is held against an author that has to wait although it is not for
// want of speed.
var errHoarder = errors.New("its content does not come")

// quota bounds what each author's announcements may make this node hold
// before it has given what it announced. Its zero value is ready.
type quota struct {
	mu sync.Mutex
	by map[peer.ID]*allowance
}

// allowance is what is left for one author.
type allowance struct {
	left float64
	at   time.Time
	gave time.Time // when content of it came last
	over bool
}

func (q *quota) allowanceLocked(p peer.ID, now time.Time) *allowance {
	a := q.by[p]
	if a == nil {
		if q.by == nil {
			q.by = map[peer.ID]*allowance{}
		}
		a = &allowance{left: quotaMost, at: now}
		q.by[p] = a
	}
	a.left = min(a.left+quotaASec*now.Sub(a.at).Seconds(), quotaMost)
	a.at = now
	switch {
	case a.left <= 0:
		a.over = true
	case a.left >= quotaLeast:
		a.over = false
	}
	return a
}

// spent tells whether the author has to wait.
func (q *quota) spent(p peer.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.allowanceLocked(p, time.Now()).over
}

// take counts paths that wait because of p; give those that wait no more.
func (q *quota) take(p peer.ID, n float64) { q.give(p, -n) }

func (q *quota) give(p peer.ID, n float64) {
	if p == "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	a := q.allowanceLocked(p, now)
	a.left = min(a.left+n, quotaMost)
	if n > 0 {
		a.gave = now
	}
}

// flows tells whether content of p has come lately, so that there is room soon.
func (q *quota) flows(p peer.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.by[p]
	return a != nil && time.Since(a.gave) < quotaFlow
}

// inTime leaves out the segments of authors that have to wait; the error says
// so of each.
func (r *replica) inTime(segs []event.Segment) ([]event.Segment, error) {
	var late error
	in := segs[:0:0]
	for _, s := range segs {
		if p := s.Writer.Node; p != r.self && r.quota.spent(p) {
			late = r.late(p)
			continue
		}
		in = append(in, s)
	}
	return in, late
}

// late says that p has to wait, and how long, and tells of p if what it
// announced does not come at all.
func (r *replica) late(p peer.ID) error {
	if r.quota.flows(p) {
		return fmt.Errorf("segment of %s: %w", p, pubsub.ErrSoon)
	}
	r.blame(p, errHoarder)
	return fmt.Errorf("segment of %s: %w", p, pubsub.ErrLater)
}

// charge counts paths that wait since segs came in against their authors.
func (r *replica) charge(segs []event.Segment, paths int64) {
	total := 0
	for _, s := range segs {
		total += len(s.Leaves)
	}
	if paths <= 0 {
		return
	}
	for _, s := range segs {
		if p := s.Writer.Node; p != r.self {
			r.quota.take(p, float64(paths)*float64(len(s.Leaves))/float64(total))
		}
	}
}

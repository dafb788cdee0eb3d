package node

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/store"
)

const (
	// quotaMost is how many paths of one author may wait here for their content
	// before more of its changes are put off. What arrives makes room again.
	quotaMost  = 50_000
	quotaLeast = 1_000 // room from which on an author is heard again
	quotaFlow  = 5 * time.Second
	quotaASec  = 20 // room made by time alone: whoever is put off is heard in the end

	// A path costs more by each TiB that its content is said to have, up to a
	// bound: no disk holds a thousand files of a pebibyte.
	quotaSize     = 40 // as a shift
	quotaSizeMost = 24

	// burdenMost is what an author may make paths cost beyond what honest authors
	// make them (store.Burden), at once; it is made good by time alone.
	burdenMost = 500
	burdenASec = 10
)

var (
	// errHoarder is held against an author that has to wait although it is not
	// for want of speed.
	errHoarder = errors.New("its content does not come")
	// errBurden is held against an author whose events cost far more than events
	// of honest authors.
	errBurden = errors.New("thousands of changes at one path, or vectors of thousands of writers")
	// errDeaf is held against an author of a segment that contradicts itself.
	errDeaf = errors.New("many changes of one path in one log that know nothing of each other")
)

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
	ease float64 // how much more than an honest author's its events may cost
}

func (q *quota) allowanceLocked(p peer.ID, now time.Time) *allowance {
	a := q.by[p]
	if a == nil {
		if q.by == nil {
			q.by = map[peer.ID]*allowance{}
		}
		a = &allowance{left: quotaMost, ease: burdenMost, at: now}
		q.by[p] = a
	}
	past := now.Sub(a.at).Seconds()
	a.left = min(a.left+quotaASec*past, quotaMost)
	a.ease = min(a.ease+burdenASec*past, burdenMost)
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
	a := q.allowanceLocked(p, time.Now())
	return a.over || a.ease <= 0
}

// burdened tells whether the author has to wait because of what its events
// cost: it has used that up, or most of it.
func (q *quota) burdened(p peer.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.allowanceLocked(p, time.Now())
	return a.ease < burdenMost && !a.over
}

// bear counts what events of p cost beyond the price of honest ones.
func (q *quota) bear(p peer.ID, cost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.allowanceLocked(p, time.Now()).ease -= float64(cost)
}

// bears is bear for events that have not been taken in yet. It is false, and
// counts nothing, where there is less left than they cost; but what costs more
// than all there ever is goes in when nothing of that is spent, so that
// everything is heard in the end.
func (q *quota) bears(p peer.ID, cost int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.allowanceLocked(p, time.Now())
	if a.ease < min(float64(cost), burdenMost) {
		return false
	}
	a.ease -= float64(cost)
	return true
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

// exempt tells of those whose events are bounded in another way: this node, and
// who was removed, whose log ends where the removal says. What is left of that
// comes from honest members, and until it is here the trees differ.
func (r *replica) exempt(p peer.ID) bool {
	_, gone := r.st.Roster().Removed(p)
	return gone || p == r.self
}

// putsOff tells whether changes of p are not taken now.
func (r *replica) putsOff(p peer.ID) bool { return !r.exempt(p) && r.quota.spent(p) }

// notSpent leaves out segments that say they are of authors that have to wait,
// before anything of them is verified; the error says so of each.
func (r *replica) notSpent(raws [][]byte) ([][]byte, error) {
	var late error
	in := raws[:0:0]
	for _, raw := range raws {
		w, err := event.WriterOf(raw)
		if err == nil && r.putsOff(w.Node) {
			late = r.late(w.Node)
			continue
		}
		in = append(in, raw)
	}
	return in, late
}

// inTime leaves out the segments of authors that have to wait; the error says
// so of each.
func (r *replica) inTime(segs []event.Segment) ([]event.Segment, error) {
	var late error
	in := segs[:0:0]
	for _, s := range segs {
		if err := r.waits(s); err != nil {
			late = err
			continue
		}
		in = append(in, s)
	}
	return in, late
}

// waits says why a segment of somebody else is not taken now, and tells of its
// author; nil where it is taken.
func (r *replica) waits(s event.Segment) error {
	p := s.Writer.Node
	if r.exempt(p) {
		return nil
	}
	n := deaf(s)
	if n > deafMost {
		r.blame(p, errDeaf)
	}
	if r.quota.spent(p) || n > deafMost && !r.quota.bears(p, n) {
		return r.late(p)
	}
	return nil
}

// deafMost is how many events that know nothing of an earlier one are no
// offence: a log of two clones of a node may have some.
const deafMost = 16

// deaf counts the events of a segment whose author does not know what it has
// said of the same path before, in the same segment. An honest author does.
func deaf(s event.Segment) (n int) {
	last := make(map[event.Path]uint64, len(s.Leaves))
	for _, l := range s.Leaves {
		if l.Raw == nil {
			continue
		}
		if before := last[l.Event.Path]; before > l.Event.Ctx[s.Writer] {
			n++
		}
		last[l.Event.Path] = l.Dot.Seq
	}
	return n
}

// bear holds against authors what their events cost, and tells of those whose
// logs contradict themselves.
func (r *replica) bear(burdens map[peer.ID]store.Burden) {
	for p, b := range burdens {
		if r.exempt(p) {
			continue
		}
		if b.Cost > 0 {
			r.quota.bear(p, b.Cost)
		}
		if b.Deaf > deafMost {
			r.blame(p, errDeaf)
		}
	}
}

// late says that p has to wait, and how long, and tells of p if what it
// announced does not come at all.
func (r *replica) late(p peer.ID) error {
	if r.quota.burdened(p) {
		r.blame(p, errBurden)
		return fmt.Errorf("segment of %s: %w", p, pubsub.ErrLater)
	}
	if r.quota.flows(p) {
		return fmt.Errorf("segment of %s: %w", p, pubsub.ErrSoon)
	}
	r.blame(p, errHoarder)
	return fmt.Errorf("segment of %s: %w", p, pubsub.ErrLater)
}

// charge counts paths that wait since segs came in against their authors.
func (r *replica) charge(segs []event.Segment, paths int64) {
	if paths <= 0 {
		return
	}
	total := 0
	for _, s := range segs {
		total += len(s.Leaves)
	}
	for _, s := range segs {
		if p := s.Writer.Node; p != r.self {
			r.quota.take(p, float64(paths)*price(s)/float64(total))
		}
	}
}

// price is what the paths of s cost if all of them wait.
func price(s event.Segment) (n float64) {
	for _, l := range s.Leaves {
		n += 1 + float64(min(l.Event.Value.Size>>quotaSize, quotaSizeMost))
	}
	return n
}

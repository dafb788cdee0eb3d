package folder

import (
	"cmp"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// How long a change waits before it is delivered.
const (
	gather    = 3 * time.Millisecond   // a finished change waits for what else belongs to it: temporary files, renames
	quietLow  = 300 * time.Millisecond // a file that is written and not closed must rest so long
	quietHigh = 10 * time.Second       // …growing to this while it goes on, and then it is delivered in any case
	burst     = 10                     // so many finished changes of one path are delivered at once
	drain     = 5                      // …and so many a second for ever
	mostDirty = 100_000                // more paths than this are called everything
)

// pending is what has changed and was not delivered. It is pure: time is handed in, and whoever holds it locks it.
type pending struct {
	all     bool
	ready   map[event.Path]bool // to the Below of Dirty
	since   time.Time           // of the oldest in ready
	resting map[event.Path]rest
	pace    map[event.Path]pace
	swept   time.Time
}

// rest is a path that is still changing.
type rest struct {
	last, limit time.Time // of the last change; when it is delivered even so
	quiet       time.Duration
}

// pace is how busy a path was lately.
type pace struct {
	at    time.Time
	n     float64       // deliveries, draining
	quiet time.Duration // what it has to rest
	hot   bool          // even finished changes rest, until it has been calm
}

func newPending() *pending {
	return &pending{ready: map[event.Path]bool{}, resting: map[event.Path]rest{}, pace: map[event.Path]pace{}}
}

// done notes a change that is complete: a rename into place, a close after writing, a removal.
func (q *pending) done(p event.Path, below bool, now time.Time) {
	if q.all {
		return
	}
	c := q.pace[p].cool(now)
	if _, waits := q.ready[p]; !waits && (c.hot || c.n >= burst) && !below {
		c.hot = true
		q.pace[p] = c
		if _, resting := q.resting[p]; !resting {
			q.resting[p] = rest{last: now, limit: now.Add(c.quiet), quiet: c.quiet}
		}
		q.bound()
		return
	}
	delete(q.resting, p)
	q.setReady(p, below, now)
}

func (q *pending) setReady(p event.Path, below bool, now time.Time) {
	if len(q.ready) == 0 {
		q.since = now
	}
	q.ready[p] = q.ready[p] || below
	q.bound()
}

// attrib notes new metadata: complete, unless the path is being written.
func (q *pending) attrib(p event.Path, now time.Time) {
	if _, writing := q.resting[p]; !writing {
		q.done(p, false, now)
	}
}

// writing notes a change of a file that somebody has open.
func (q *pending) writing(p event.Path, now time.Time) {
	if q.all {
		return
	}
	if _, waits := q.ready[p]; waits {
		return // it is looked at in a moment, and the scan sees whether it moves
	}
	r, ok := q.resting[p]
	if !ok {
		r = rest{limit: now.Add(quietHigh), quiet: q.pace[p].cool(now).quiet}
	}
	r.last = now
	q.resting[p] = r
	q.bound()
}

// everything replaces all that is known by one fact.
func (q *pending) everything() {
	*q = *newPending()
	q.all = true
}

func (q *pending) bound() {
	if len(q.ready)+len(q.resting) > mostDirty {
		q.everything()
	}
}

func (r rest) due() time.Time {
	if t := r.last.Add(r.quiet); t.Before(r.limit) {
		return t
	}
	return r.limit
}

// next is when there is something to deliver; false: nothing is waiting.
func (q *pending) next() (at time.Time, ok bool) {
	if q.all {
		return time.Time{}, true
	}
	if len(q.ready) > 0 {
		at, ok = q.since.Add(gather), true
	}
	for _, r := range q.resting {
		if due := r.due(); !ok || due.Before(at) {
			at, ok = due, true
		}
	}
	return at, ok
}

// take delivers what is due. Paths are sorted.
func (q *pending) take(now time.Time) Batch {
	if q.all {
		q.all = false
		return Batch{All: true}
	}
	for p, r := range q.resting {
		if now.Before(r.due()) {
			continue
		}
		delete(q.resting, p)
		q.pace[p] = q.pace[p].cool(now).slower()
		q.setReady(p, false, now)
	}
	b := Batch{Dirty: make([]Dirty, 0, len(q.ready))}
	for p, below := range q.ready {
		b.Dirty = append(b.Dirty, Dirty{Path: p, Below: below})
		c := q.pace[p].cool(now)
		c.n++
		q.pace[p] = c
	}
	clear(q.ready)
	slices.SortFunc(b.Dirty, func(a, b Dirty) int { return cmp.Compare(a.Path, b.Path) })
	q.sweep(now)
	return b
}

// sweep forgets how busy paths were that are calm again.
func (q *pending) sweep(now time.Time) {
	if now.Sub(q.swept) < time.Second {
		return
	}
	q.swept = now
	for p, c := range q.pace {
		if c = c.cool(now); c.n == 0 && c.quiet == quietLow {
			delete(q.pace, p)
		}
	}
}

// cool lets time pass: deliveries drain, and the rest that is asked for shrinks by a quarter of the calm.
func (c pace) cool(now time.Time) pace {
	calm := now.Sub(c.at)
	if c.at.IsZero() {
		return pace{at: now, quiet: quietLow}
	}
	n, quiet := max(0, c.n-calm.Seconds()*drain), max(quietLow, c.quiet-calm/4)
	return pace{at: now, n: n, quiet: quiet, hot: c.hot && (n > 0 || quiet > quietLow)}
}

// slower asks for a longer rest the next time.
func (c pace) slower() pace {
	c.quiet = min(quietHigh, 2*c.quiet)
	return c
}

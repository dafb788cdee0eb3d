package pubsub

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const maxPause = time.Minute

// agenda says with whom to repair, and when. One exchange runs with a peer at a time; whatever is asked for meanwhile is one
// more exchange after it. It keeps no goroutine: the room takes what is due, and reports how it went.
type agenda struct {
	retry time.Duration
	wake  nudge

	mu   sync.Mutex
	rows map[peer.ID]*row
	shut error
}

type row struct {
	due     time.Time // zero: nothing asked
	soft    bool      // due only to keep in touch: any exchange in between makes it needless
	fails   int
	running bool
	now     []chan error // wait for the exchange that runs
	next    []chan error // wait for the one after
}

func newAgenda(retry time.Duration) *agenda {
	return &agenda{retry: retry, wake: newNudge(), rows: map[peer.ID]*row{}}
}

func (a *agenda) rowLocked(p peer.ID) *row {
	r := a.rows[p]
	if r == nil {
		r = &row{}
		a.rows[p] = r
	}
	return r
}

// ask wants an exchange with p that begins at a time or before.
func (a *agenda) ask(p peer.ID, at time.Time) { a.want(p, at, false) }

// touch is ask for an exchange that another one with p in between, begun by either side, makes needless.
func (a *agenda) touch(p peer.ID, at time.Time) { a.want(p, at, true) }

func (a *agenda) want(p peer.ID, at time.Time, soft bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shut == nil {
		a.wantLocked(a.rowLocked(p), at, soft)
	}
}

func (a *agenda) wantLocked(r *row, at time.Time, soft bool) {
	r.soft = soft && (r.due.IsZero() || r.soft)
	if r.due.IsZero() || at.Before(r.due) {
		r.due = at
		a.wake.poke()
	}
}

// wait is ask with news of how it went; the channel gives one value.
func (a *agenda) wait(p peer.ID, at time.Time) <-chan error {
	c := make(chan error, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shut != nil {
		c <- a.shut
		return c
	}
	r := a.rowLocked(p)
	r.next = append(r.next, c)
	a.wantLocked(r, at, false)
	return c
}

// take marks up to max of the exchanges that are due as running.
func (a *agenda) take(now time.Time, max int) []peer.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ps []peer.ID
	for p, r := range a.rows {
		if len(ps) >= max {
			break
		}
		if r.running || r.due.IsZero() || r.due.After(now) {
			continue
		}
		r.running, r.due, r.soft = true, time.Time{}, false
		r.now, r.next = r.next, nil
		ps = append(ps, p)
	}
	return ps
}

// next tells when something not running is due.
func (a *agenda) next() (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var at time.Time
	for _, r := range a.rows {
		if !r.running && !r.due.IsZero() && (at.IsZero() || r.due.Before(at)) {
			at = r.due
		}
	}
	return at, !at.IsZero()
}

// done closes a running exchange. After a failure that is worth it, again brings the next try, later each time; those who wait
// for an exchange with a busy peer go on waiting.
func (a *agenda) done(p peer.ID, err error, now time.Time, again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.rowLocked(p)
	r.running = false
	if errors.Is(err, errBusy) && again && a.shut == nil {
		r.next = append(r.next, r.now...)
		r.now = nil
		a.wantLocked(r, now.Add(a.retry/2+rand.N(a.retry)), false)
		return
	}
	for _, c := range r.now {
		c <- err
	}
	r.now = nil
	switch {
	case err == nil:
		r.fails = 0
	case again && a.shut == nil:
		a.wantLocked(r, now.Add(a.pause(r.fails)), true)
		r.fails++
	default:
		r.fails = 0 // nothing comes of it, and the row must not stay for it
	}
	a.dropLocked(p, r)
	a.wake.poke()
}

func (a *agenda) pause(fails int) time.Duration {
	return min(a.retry<<min(fails, 10), maxPause)
}

// met notes an exchange that p began and that went well.
func (a *agenda) met(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.rows[p]
	if r == nil {
		return
	}
	r.fails = 0
	if r.soft {
		r.due, r.soft = time.Time{}, false
	}
	a.dropLocked(p, r)
}

// forget drops what is due with a peer that is gone, except what somebody waits for.
func (a *agenda) forget(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.rows[p]
	if r == nil || len(r.next) > 0 {
		return
	}
	r.due, r.soft, r.fails = time.Time{}, false, 0
	a.dropLocked(p, r)
}

func (a *agenda) dropLocked(p peer.ID, r *row) {
	if !r.running && r.due.IsZero() && r.fails == 0 && len(r.next) == 0 {
		delete(a.rows, p)
	}
}

// close answers all who wait, and all who will, with err.
func (a *agenda) close(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shut = err
	for p, r := range a.rows {
		for _, c := range append(r.now, r.next...) {
			c <- err
		}
		delete(a.rows, p)
	}
}

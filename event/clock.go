package event

import (
	"sync"
	"time"
)

// HLC is a hybrid logical clock: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
type HLC uint64

const (
	hlcCounter = 16
	// hlcLead is how far ahead of the wall clock another's time may pull ours.
	hlcLead = time.Hour
)

// HLCOf is the first HLC of the millisecond that t is in.
func HLCOf(t time.Time) HLC { return HLC(max(t.UnixMilli(), 0)) << hlcCounter }

// Time is the wall time in h, in UTC, to the millisecond.
func (h HLC) Time() time.Time { return time.UnixMilli(int64(h >> hlcCounter)).UTC() }

// Clock hands out ever growing HLCs. It is safe for concurrent use; make it with [NewClock].
type Clock struct {
	mu   sync.Mutex
	last HLC
}

// NewClock is a clock that has observed nothing. Who goes on with an old log lets it [Clock.Observe] its newest event.
func NewClock() *Clock { return new(Clock) }

// Now is later than everything that this clock handed out or observed, and never before the wall clock.
func (c *Clock) Now() HLC {
	now := HLCOf(wall())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(now, c.last+1)
	return c.last
}

// Observe makes later times later than h, unless h is more than an hour ahead of the wall clock: such a time is passed
// over, and causality, which is in ctx, decides without it.
func (c *Clock) Observe(h HLC) {
	if h > HLCOf(wall().Add(hlcLead)) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, h)
}

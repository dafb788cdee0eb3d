package swarm

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// meter counts bytes, and remembers those of the last seconds.
type meter struct {
	total atomic.Int64

	mu      sync.Mutex
	seconds [meterSeconds + 1]struct{ at, bytes int64 }
}

const meterSeconds = 3 // whole seconds that a rate looks back on

func (m *meter) add(n int, now time.Time) {
	m.total.Add(int64(n))
	at := now.Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.seconds[at%int64(len(m.seconds))]
	if s.at != at {
		s.at, s.bytes = at, 0
	}
	s.bytes += int64(n)
}

// rate is bytes per second over the last whole seconds and the one that has begun.
func (m *meter) rate(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum int64
	for _, s := range m.seconds {
		if age := now.Unix() - s.at; age >= 0 && age <= meterSeconds {
			sum += s.bytes
		}
	}
	return float64(sum) / (meterSeconds + float64(now.Nanosecond())/1e9)
}

// step is how much may be sent at once, so that a slow limit does not look like a dead link.
func (s *Swarm) step() int {
	if l := s.c.Out; l != nil && l.Limit() != rate.Inf {
		return max(l.Burst(), 1)
	}
	return flushAt
}

// wait lets n bytes through l, in steps that fit its burst.
func wait(ctx context.Context, l *rate.Limiter, n int) error {
	if l == nil || l.Limit() == rate.Inf {
		return nil
	}
	for n > 0 {
		step := min(n, l.Burst())
		if err := l.WaitN(ctx, step); err != nil {
			return fmt.Errorf("wait for the rate limit: %w", err)
		}
		n -= step
	}
	return nil
}

// buffers are kept by the power of two that is their capacity.
var buffers [bits.UintSize]sync.Pool

// getBuffer returns n > 0 bytes of any content.
func getBuffer(n int) []byte {
	k := bits.Len(uint(n - 1))
	if b, ok := buffers[k].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<k)
}

func putBuffer(b []byte) {
	if cap(b) > 0 {
		buffers[bits.Len(uint(cap(b)-1))].Put(&b)
	}
}

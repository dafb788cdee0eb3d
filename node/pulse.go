package node

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// stepMost is how long one step of a loop may take before it counts as
	// stuck: a thousand files made durable on a card that is slow and busy.
	stepMost = 5 * time.Minute
	// leastRate is the slowest disk, in bytes a second, on which a long copy
	// still counts as going on.
	leastRate = 1 << 20
	mostBytes = 1 << 50 // that count
)

// pulse is the sign of life of one loop. The loop says what it does: it rests
// while it waits for something to do or for somebody else, and otherwise begins
// a step after each one that it has done. A step that does not end is a stuck
// loop. The zero value rests.
type pulse struct {
	mu   sync.Mutex
	step string    // "": resting
	till time.Time // when the step must have ended
}

// begin tells that a step begins; bytes are what it has to move.
func (p *pulse) begin(step string, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.till = step, time.Now().Add(stepMost+time.Duration(min(bytes, mostBytes)/leastRate)*time.Second)
}

// rest tells that nothing is under way, for however long.
func (p *pulse) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = ""
}

// stuck is the step that should have ended, or "".
func (p *pulse) stuck() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.step == "" || time.Now().Before(p.till) {
		return ""
	}
	return p.step
}

// pulses are those of work that comes and goes. The zero value is ready.
type pulses struct {
	mu sync.Mutex
	by map[*pulse]bool
}

// begin adds a step; the result ends it.
func (s *pulses) begin(step string, bytes int64) (end func()) {
	p := &pulse{}
	p.begin(step, bytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[*pulse]bool{}
	}
	s.by[p] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.by, p)
	}
}

// all lists them.
func (s *pulses) all() []*pulse {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.by))
}

// Alive is nil while the loops that keep folders equal move on: each of them
// waits for something to do, or has ended a step within the last minutes. It
// never blocks for longer than it takes to look. A pool that is halted or
// paused is alive.
func (n *Node) Alive() error {
	for _, r := range n.all() {
		for _, p := range append(r.batches.all(), &r.scans, &r.applies) {
			if step := p.stuck(); step != "" {
				return fmt.Errorf("pool %s: %s does not end", r.name(), step)
			}
		}
	}
	return nil
}

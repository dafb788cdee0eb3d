package node

import (
	"sync"
	"time"

	"github.com/bwaklog/meerkat/event"
)

const (
	// stubbornAfter and stubbornTries are how long and how often a path is tried
	// at once, because a scan is about to say what stands there, before it is
	// tried with pauses like all that waits; stubbornHot tries are enough in any time.
	stubbornAfter = time.Second
	stubbornTries = 3
	stubbornHot   = 100
	stubbornMost  = 100_000
)

// stubborn remembers the paths that were not as the index has them when they
// were to be changed. Its zero value is ready.
type stubborn struct {
	mu sync.Mutex
	by map[event.Path]setback
}

// setback is how long and how often a path was tried in vain.
type setback struct {
	since time.Time
	times int
}

// again counts one more try at p in vain, and says whether there were so many
// that the next one had better wait.
func (s *stubborn) again(p event.Path, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil || len(s.by) >= stubbornMost {
		s.by = map[event.Path]setback{}
	}
	n, ok := s.by[p]
	if !ok {
		n.since = now
	}
	n.times++
	s.by[p] = n
	return n.times >= stubbornHot || n.times >= stubbornTries && now.Sub(n.since) >= stubbornAfter
}

// over forgets p: something else came of it.
func (s *stubborn) over(p event.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, p)
}

package lab

import (
	"bufio"
	"io"
	"strings"
	"sync"
)

// tail keeps the last lines of a node's output.
type tail struct {
	mu    sync.Mutex
	lines []string
	ready chan struct{}
}

func newTail(r io.ReadCloser) *tail {
	t := &tail{ready: make(chan struct{})}
	go func() {
		defer r.Close()
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		up := false
		for s.Scan() {
			line := s.Text()
			if !up && strings.HasPrefix(line, "ready ") {
				up = true
				close(t.ready)
			}
			t.mu.Lock()
			t.lines = append(t.lines, line)
			if len(t.lines) > 120 {
				t.lines = t.lines[len(t.lines)-100:]
			}
			t.mu.Unlock()
		}
	}()
	return t
}

func (t *tail) String() string {
	if t == nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

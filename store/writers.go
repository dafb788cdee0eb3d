package store

import (
	"sync"

	"github.com/bwaklog/meerkat/event"
)

// writers gives each writer that has a log here a number, from 1 on. Only a change adds writers, one change at a
// time; forget takes back those of a change that came to nothing, before any row can name them.
type writers struct {
	mu      sync.RWMutex
	numbers map[event.Writer]uint32
	list    []event.Writer // of number i+1
}

func (ws *writers) number(w event.Writer) (uint32, bool) {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	n, ok := ws.numbers[w]
	return n, ok
}

func (ws *writers) at(n uint64) (event.Writer, bool) {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	if n == 0 || n > uint64(len(ws.list)) {
		return event.Writer{}, false
	}
	return ws.list[n-1], true
}

func (ws *writers) len() int {
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	return len(ws.list)
}

// add numbers w; fresh says that it had no number.
func (ws *writers) add(w event.Writer) (n uint32, fresh bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if n, ok := ws.numbers[w]; ok {
		return n, false
	}
	if ws.numbers == nil {
		ws.numbers = map[event.Writer]uint32{}
	}
	ws.list = append(ws.list, w)
	n = uint32(len(ws.list))
	ws.numbers[w] = n
	return n, true
}

// forget takes back all numbers above n.
func (ws *writers) forget(n int) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.list[n:] {
		delete(ws.numbers, w)
	}
	ws.list = ws.list[:n]
}

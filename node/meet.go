package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// meet gives those of ps that are not linked a moment to be: it returns when
// each of them is, or has been dialled in vain, at the latest after most.
func (l *links) meet(ctx context.Context, ps []peer.ID, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tried := map[peer.ID]int{}
	for _, p := range ps {
		if !l.online(p) && l.reachable(p) {
			tried[p] = l.soon(p)
		}
	}
	for len(tried) > 0 {
		for p, fails := range tried {
			if l.online(p) || l.failed(p) >= fails {
				delete(tried, p)
			}
		}
		if len(tried) > 0 && !sleep(ctx, waitPoll) {
			return
		}
	}
}

// soon makes p due, and says how many dials will have failed once one that has
// not begun yet did.
func (l *links) soon(p peer.ID) (fails int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tries[p]
	if t == nil {
		t = &try{}
		l.tries[p] = t
	}
	if next := time.Now().Add(l.courtesy(p)); t.next.IsZero() || next.Before(t.next) {
		t.next = next
	}
	l.poke.poke()
	if t.dialing {
		return t.fails + 2
	}
	return t.fails + 1
}

// failed is how many dials of p failed in a row.
func (l *links) failed(p peer.ID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tries[p]; t != nil {
		return t.fails
	}
	return 0
}

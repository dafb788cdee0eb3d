package ui

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

const (
	pastSpan   = 7 * 24 * time.Hour
	pastLength = 25
	pastPause  = time.Second
	pastShare  = 20 // reading takes at most one part in so many of the time
	pastLimit  = 5 * time.Second
)

// past is the newest signed changes of all pools. Reading them costs with the
// length of the history, so they are read again only when a pool has changed,
// and not more often than their cost allows.
type past struct {
	b control.Backend

	mu      sync.Mutex
	reading bool
	roots   string // of the pools when last read
	next    time.Time
	changes []changeView
}

type changeView struct {
	node.ChangeInfo
	PoolName string
}

func newPast(b control.Backend) *past { return &past{b: b} }

// recent gives the newest changes, the newest first; they may be a moment old.
func (p *past) recent(ctx context.Context, pools []node.PoolStatus) ([]changeView, error) {
	now, old, fresh := p.due(pools, time.Now())
	if fresh {
		return old, nil
	}
	var all []changeView
	var err error
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, pastLimit)
	defer cancel()
	for _, pool := range pools {
		var some []changeView
		if some, err = p.read(ctx, pool); err != nil {
			break
		}
		all = append(all, some...)
	}
	slices.SortStableFunc(all, func(a, b changeView) int { return b.Time.Compare(a.Time) })
	all = all[:min(len(all), pastLength)]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading, p.next = false, time.Now().Add(pastPause+pastShare*time.Since(begun))
	if err != nil {
		return p.changes, err
	}
	p.roots, p.changes = now, all
	return all, nil
}

// due says whether what was read last will do; where it will not, the caller
// has to read.
func (p *past) due(pools []node.PoolStatus, now time.Time) (roots string, old []changeView, fresh bool) {
	for _, s := range pools {
		roots += s.ID + s.Root
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading || roots == p.roots || now.Before(p.next) {
		return roots, p.changes, true
	}
	p.reading = true
	return roots, nil, false
}

// read gives the newest changes of one pool, the newest first.
func (p *past) read(ctx context.Context, pool node.PoolStatus) ([]changeView, error) {
	var last []changeView
	err := p.b.Log(ctx, node.LogRequest{Pool: pool.ID, Since: time.Now().Add(-pastSpan)}, func(c node.ChangeInfo) error {
		if last = append(last, changeView{c, pool.Name}); len(last) >= 2*pastLength {
			last = append(last[:0], last[len(last)-pastLength:]...)
		}
		return nil
	})
	slices.Reverse(last)
	return last[:min(len(last), pastLength)], err
}

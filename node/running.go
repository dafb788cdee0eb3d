package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// startAgain is how long a pool rests after an error that ended it.
const startAgain = 10 * time.Second

// running is a replica and the means to end it.
type running struct {
	*replica
	stop context.CancelFunc
	done chan struct{}
	left bool // it was told to end for good; Node.mu guards it
}

// start runs a replica of a pool in dir, unless one runs already.
func (n *Node) start(id event.PoolID, dir string) error { return n.startAfter(nil, id, dir) }

// startAfter runs a replica of a pool in dir in the place of old, unless
// another has taken that or old was told to stop.
func (n *Node) startAfter(old *running, id event.PoolID, dir string) error {
	st, err := n.home.DB().Pool(id)
	if err != nil {
		return err
	}
	if st.Roster() == nil {
		return fmt.Errorf("pool %s: %w", id, errNoRoster)
	}
	r := n.newReplica(id, dir, st)
	r.loadReports()
	if old != nil {
		n.feed.Leave(id)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx == nil || n.replicas[id] != old || old != nil && old.left {
		return nil
	}
	r.speaks.Store(true)
	if err := n.feed.Join(r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(n.ctx)
	run := &running{replica: r, stop: cancel, done: make(chan struct{})}
	n.replicas[id] = run
	n.group.Go(func() error {
		defer close(run.done)
		defer cancel()
		n.keep(ctx, run)
		return nil
	})
	n.links.poke.poke()
	return nil
}

// keep runs a replica, and starts another one where it ends though it was not
// told to: what a pool needs lies on the disk, so that beginning anew is how
// it recovers from whatever went wrong.
func (n *Node) keep(ctx context.Context, run *running) {
	for err := run.Run(ctx); err != nil && ctx.Err() == nil; {
		if !errors.Is(err, errOtherFolder) {
			n.log.Error("pool stopped", "pool", run.name(), "err", err)
			run.halt(err.Error())
			if !sleep(ctx, startAgain) {
				return
			}
		}
		err = n.startAfter(run, run.id, run.path)
	}
}

// leave ends a pool's replica and waits for it.
func (n *Node) leave(id event.PoolID) {
	n.mu.Lock()
	run := n.replicas[id]
	if run != nil {
		run.left = true // nothing takes its place from here on
	}
	n.mu.Unlock()
	if run == nil {
		return
	}
	run.stop()
	<-run.done
	n.feed.Leave(id)
	n.mu.Lock()
	delete(n.replicas, id)
	n.mu.Unlock()
}

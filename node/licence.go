package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// mergedKey is set once this state has been compared with a member's.
	mergedKey = "merged"
	// doubtWait is how long a node whose state may have been rolled back waits
	// for a member before it publishes.
	doubtWait   = 30 * time.Second
	compareWait = 30 * time.Second
	comparePoll = time.Second
)

// licence is the right to publish. A node earns it once in each run: before
// that, what its disk shows may be older than what it once knew.
type licence struct {
	open chan struct{} // closed when it is earned
	met  nudge
}

func newLicence() licence { return licence{open: make(chan struct{}), met: newNudge()} }

func (l *licence) held() bool {
	select {
	case <-l.open:
		return true
	default:
		return false
	}
}

// await blocks until the licence is earned.
func (l *licence) await(ctx context.Context) error {
	select {
	case <-l.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// merged reports whether this state was ever equal to a member's.
func (r *replica) merged() bool {
	_, ok, err := r.st.Get(mergedKey)
	return ok || err != nil
}

// earn waits for what publishing needs, and then gives the licence. A state
// that is new compares itself with a member first, however long that takes:
// else old files would come back as new ones. One that may be older than it
// seems waits for a member, but not for ever. Any other may publish at once.
func (r *replica) earn(ctx context.Context, found evidence) error {
	var limit <-chan time.Time
	switch {
	case r.alone():
	case !r.merged():
		r.compare(ctx, nil)
	case found == broken || found == doubtful:
		t := time.NewTimer(doubtWait)
		defer t.Stop()
		limit = t.C
		r.compare(ctx, limit)
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := r.st.Set(mergedKey, []byte{1}); err != nil {
		return err
	}
	if err := r.outgrow(); err != nil {
		return err
	}
	close(r.licence.open)
	r.applyNow.poke()
	return nil
}

// alone reports whether there is no other member to compare with.
func (r *replica) alone() bool {
	for _, m := range r.st.Roster().Members() {
		if m.ID != r.self {
			return false
		}
	}
	return true
}

// compare brings this state and one member's together, whoever can be reached
// first. It ends without that when limit fires or ctx ends.
func (r *replica) compare(ctx context.Context, limit <-chan time.Time) {
	for {
		for _, p := range r.onlineMembers() {
			if r.comparedWith(ctx, p) {
				return
			}
		}
		again := time.NewTimer(comparePoll)
		select {
		case <-ctx.Done():
		case <-limit:
		case <-again.C:
			continue
		case <-r.licence.met.c:
			again.Stop()
			continue
		}
		again.Stop()
		return
	}
}

func (r *replica) comparedWith(ctx context.Context, p peer.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, compareWait)
	defer cancel()
	err := r.feed.Repair(ctx, r.id, p)
	if err != nil {
		r.log.Debug("compare", "pool", r.name(), "peer", p, "err", err)
	}
	return err == nil
}

// outgrow leaves an epoch that is older than one which members told of.
func (r *replica) outgrow() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	if head, _ := r.st.Head(r.writer); head.Seq == 0 && r.newestOwn() > r.writer.Epoch {
		return r.newEpochLocked("members know a newer epoch of this node")
	}
	return nil
}

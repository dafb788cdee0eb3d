package node

import (
	"context"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// author signs what draft says about paths, as if a person had made the
// change here; the folder follows like with any other event. What conflicts
// there are at the paths is settled first, so that no losing value is covered
// unseen. draft is called with the disk held.
func (r *replica) author(paths []event.Path, draft func() ([]event.Event, error)) error {
	if err := r.mayAuthor(); err != nil {
		return err
	}
	r.disk.Lock()
	defer r.disk.Unlock()
	unsettled, err := r.unsettled()
	if err != nil {
		return err
	}
	var open []event.Path
	for _, p := range paths {
		if unsettled[p] {
			open = append(open, p)
		}
	}
	if err := r.settle(open); err != nil {
		return err
	}
	drafts, err := draft()
	if err != nil || len(drafts) == 0 {
		return err
	}
	segs, _, err := r.seal(drafts)
	if err != nil {
		return err
	}
	return r.commit(store.Tx{Segments: segs})
}

// mayAuthor says why this node cannot change the pool, or nil.
func (r *replica) mayAuthor() error {
	if why := r.haltedWhy(); why != "" {
		return trouble("halted", nil, "the pool is halted: %s", why)
	}
	if !r.mayWrite() {
		return trouble("not_allowed", nil, "this node's role does not allow changes")
	}
	return nil
}

// change drafts the event that puts v at p, or nil where it stands there.
func (r *replica) change(p event.Path, v event.Value) ([]event.Event, error) {
	view, err := r.st.View(p)
	if err != nil {
		return nil, fmt.Errorf("view %s: %w", p, err)
	}
	if v.Alike(view.Value) {
		return nil, nil
	}
	return []event.Event{event.Change(p, knownOf(view), v, r.clock.Now())}, nil
}

// freshen looks at p on the disk now, so that an edit that nobody has noticed
// yet is published before the path is changed.
func (r *replica) freshen(ctx context.Context, p event.Path) error {
	if why := r.haltedWhy(); why != "" {
		return trouble("halted", nil, "the pool is halted: %s", why)
	}
	if _, exists, err := r.fold.Lstat(p); err != nil || !exists {
		if _, known, _ := r.st.Have(p); !known {
			return nil // nothing there, and nothing known of it
		}
	}
	r.markDirty(p, false)
	return r.awaitScan(ctx)
}

// arrived waits until p stands in the folder as the pool has it. It returns
// why it still waits, or "".
func (r *replica) arrived(ctx context.Context, p event.Path) (string, error) {
	const patience = 30 * time.Second
	for until := time.Now().Add(patience); ; {
		need, waits, err := r.st.NeedAt(p)
		if err != nil || !waits {
			return "", err
		}
		if need.Reason != "" && need.Reason != reasonNobody || time.Now().After(until) {
			return reasonText(need), nil
		}
		if !sleep(ctx, waitPoll) {
			return reasonText(need), nil
		}
	}
}

// reasonText says why a need waits.
func reasonText(n store.Need) string {
	switch {
	case n.Message != "":
		return n.Message
	case n.Reason != "":
		return n.Reason
	}
	return "it is being applied"
}

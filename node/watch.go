package node

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/folder"
)

// watch lets the kernel tell what changes, until ctx ends. Its first word is
// that everything may have.
func (r *replica) watch(ctx context.Context) error {
	if every := r.ground.Rescan; every > 0 {
		return r.lookAgain(ctx, every)
	}
	w := r.fold.NewWatcher(folder.WatchConfig{Rescan: degradedEvery})
	r.mu.Lock()
	r.watcher = w
	r.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { w.Run(ctx); return nil })
	g.Go(func() error {
		for {
			b, err := w.Next(ctx)
			if err != nil {
				return nil //nolint:nilerr // ctx ended
			}
			r.watched(b)
		}
	})
	return g.Wait()
}

// lookAgain stands in for watching: it has everything looked at when it starts
// and then every so often, until ctx ends.
func (r *replica) lookAgain(ctx context.Context, every time.Duration) error {
	for {
		r.markAll()
		if !sleep(ctx, every) {
			return nil
		}
	}
}

// watchTrouble says why changes may be noticed late, or "".
func (r *replica) watchTrouble() string {
	r.mu.Lock()
	w := r.watcher
	r.mu.Unlock()
	if w == nil {
		return ""
	}
	return w.Status().Reason
}

package node

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/folder"
)

// watch lets the kernel tell what changes, until ctx ends. Its first word is
// that everything may have.
func (r *replica) watch(ctx context.Context) error {
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

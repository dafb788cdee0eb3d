package folder

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// Batch is what changed since the batch before.
type Batch struct {
	Dirty []Dirty // in the byte order of paths, each path once
	All   bool    // anything may have changed: scan everything
}

// WatchStatus is how well the folder is watched.
type WatchStatus struct {
	Watches   int    // directories under watch
	Unwatched int    // directories that could not be watched, at least
	Degraded  bool   // changes may go unnoticed; everything is reported dirty every WatchConfig.Rescan
	Reason    string // of Degraded, for people
}

// WatchConfig has a useful zero value.
type WatchConfig struct {
	Rescan     time.Duration // while degraded, everything is dirty this often; 0 means a minute
	MaxWatches int           // watch at most so many directories; 0 means as many as the system allows
}

func (c WatchConfig) withDefaults() WatchConfig {
	if c.Rescan <= 0 {
		c.Rescan = time.Minute
	}
	return c
}

// Watcher notices changes in a folder while Run runs. What it says is a hint where to look, never a fact: a scan finds
// out. Ignored directories and the node's own are not watched.
type Watcher struct {
	f    *Folder
	c    WatchConfig
	wake chan struct{} // capacity one: pending has changed

	mu      sync.Mutex
	pending *pending
	handed  bool // a batch was handed out, and Next was not called again
	status  WatchStatus

	live sync.RWMutex // held for writing while now changes
	now  *session     // that runs, or nil
}

// NewWatcher makes a watcher that watches nothing until Run.
func (f *Folder) NewWatcher(c WatchConfig) *Watcher {
	return &Watcher{f: f, c: c.withDefaults(), wake: make(chan struct{}, 1), pending: newPending()}
}

// Status says how well the folder is watched now.
func (w *Watcher) Status() WatchStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Degraded says whether changes may go unnoticed by the watcher.
func (w *Watcher) Degraded() bool { return w.Status().Degraded }

// errRootLost ends a session: what was watched is not the folder any more.
var errRootLost = errors.New("the folder is not in its place")

const rootPatience = time.Second // between looks for a folder that is not in its place

// Run watches until ctx ends, and returns when all that it started has ended. It never fails: what it cannot watch is in
// Status, and everything is dirty from time to time instead. Its first batch is All, once the watches stand, so that a
// scan then has missed nothing. It must not run twice at once.
func (w *Watcher) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.session(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := w.c.Rescan
		if errors.Is(err, errRootLost) {
			wait = min(wait, rootPatience)
		}
		w.set(WatchStatus{Degraded: true, Unwatched: 1, Reason: "cannot watch the folder: " + whyUnwatched(err)})
		w.all()
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// Next waits for a batch. It is for one goroutine at a time; its error is that of ctx.
func (w *Watcher) Next(ctx context.Context) (Batch, error) {
	for {
		w.mu.Lock()
		now := time.Now()
		at, ok := w.pending.next()
		w.handed = ok && !now.Before(at)
		if w.handed {
			b := w.pending.take(now)
			w.mu.Unlock()
			return b, nil
		}
		w.mu.Unlock()
		if err := w.await(ctx, at.Sub(now), ok); err != nil {
			return Batch{}, err
		}
	}
}

// await returns after d (where timed), or when pending has changed.
func (w *Watcher) await(ctx context.Context, d time.Duration, timed bool) error {
	var due <-chan time.Time
	if timed {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
	case <-w.wake:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// note changes what is pending, and wakes Next.
func (w *Watcher) note(change func(q *pending, now time.Time)) {
	w.mu.Lock()
	change(w.pending, time.Now())
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Watcher) all() { w.note(func(q *pending, _ time.Time) { q.everything() }) }

func (w *Watcher) done(p event.Path, below bool) {
	w.note(func(q *pending, now time.Time) { q.done(p, below, now) })
}

func (w *Watcher) set(s WatchStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Degraded && !w.status.Degraded {
		w.f.log.Warn("watching is degraded", "root", w.f.path, "reason", s.Reason, "watches", s.Watches)
	}
	w.status = s
}

// rulesMoved says whether p is a name at the root that bears on what is watched, and whether the rules are others than
// used now. Of an error the next scan speaks.
func (w *Watcher) rulesMoved(p event.Path, used *Ignore) bool {
	if p != IgnoreFile && p != IgnoreFileLocal {
		return false
	}
	_, _, err := w.f.rules.reload(w.f.fs, new(int))
	return err != nil || w.f.rules.now.Load() != used
}

// whyUnwatched says in words for people what stopped a watch.
func whyUnwatched(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "the system's limit of watches is reached: raise fs.inotify.max_user_watches"
	case errors.Is(err, syscall.EMFILE):
		return "the system's limit of watchers or of open files is reached: raise fs.inotify.max_user_instances or ulimit -n"
	}
	return cause(err)
}

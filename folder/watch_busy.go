package folder

import "context"

// Pending says whether something was noticed that was not dealt with yet: changes that rest, what Next would hand out,
// and what it handed out last, until it is called again.
func (w *Watcher) Pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handed || w.pending.all || len(w.pending.ready) > 0 || len(w.pending.resting) > 0
}

// CatchUp returns once every change that was made before the call has been noticed, so that Pending tells of it until it
// is dealt with. Where nothing is watched, and where the system cannot tell how far its news has come, it returns at
// once; its error is that of ctx.
func (w *Watcher) CatchUp(ctx context.Context) error {
	passed := w.mark()
	if passed == nil {
		return ctx.Err()
	}
	select {
	case <-passed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mark has the session that runs close a channel when it has taken what lies before; nil where it cannot.
func (w *Watcher) mark() <-chan struct{} {
	w.live.RLock()
	defer w.live.RUnlock()
	if w.now == nil {
		return nil // everything is called dirty when the next one begins
	}
	return w.now.mark()
}

// begin makes s the session that runs; the result ends it.
func (w *Watcher) begin(s *session) (end func()) {
	w.setNow(s)
	return func() { w.setNow(nil) }
}

func (w *Watcher) setNow(s *session) {
	w.live.Lock()
	defer w.live.Unlock()
	w.now = s
}

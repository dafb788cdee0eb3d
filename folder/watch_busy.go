package folder

// Pending says whether something was noticed that Next has not handed out yet: changes that rest, as well.
func (w *Watcher) Pending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending.all || len(w.pending.ready) > 0 || len(w.pending.resting) > 0
}

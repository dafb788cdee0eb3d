package node

import (
	"slices"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// watched takes in what the watcher noticed.
func (r *replica) watched(b folder.Batch) {
	r.mu.Lock()
	r.full = r.full || b.All
	r.holds.witness(b, r.watcher.Degraded())
	for _, d := range b.Dirty {
		r.dirty[d.Path] = r.dirty[d.Path] || d.Below
	}
	r.mu.Unlock()
	r.scanNow.poke()
	r.glanceNow.poke()
}

// markDirty asks for a path to be scanned soon.
func (r *replica) markDirty(p event.Path, below bool) {
	r.mu.Lock()
	r.dirty[p] = r.dirty[p] || below
	r.mu.Unlock()
	r.scanNow.poke()
}

func (r *replica) markAll() {
	r.mu.Lock()
	r.full = true
	r.mu.Unlock()
	r.scanNow.poke()
}

// takeDirty claims what is due, and those who wait for it.
func (r *replica) takeDirty() (dirty []folder.Dirty, all bool, waiting []chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, below := range r.dirty {
		dirty = append(dirty, folder.Dirty{Path: p, Below: below})
	}
	slices.SortFunc(dirty, func(a, b folder.Dirty) int { return folder.ComparePaths(a.Path, b.Path) })
	all, waiting = r.full, r.waiting
	r.dirty, r.full, r.waiting = map[event.Path]bool{}, false, nil
	r.scanning = len(dirty) > 0 || all
	return dirty, all, waiting
}

// giveBack returns a claim that could not be worked off.
func (r *replica) giveBack(dirty []folder.Dirty, all bool, waiting []chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range dirty {
		r.dirty[d.Path] = r.dirty[d.Path] || d.Below
	}
	r.full = r.full || all
	r.waiting = append(r.waiting, waiting...)
	r.scanning = false
}

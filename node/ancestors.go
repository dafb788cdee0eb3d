package node

import (
	"hash/maphash"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// ancestors knows every content that ever stood at a path, by the logs. It is
// made when a scan first meets a file that nothing is known of, and goes with
// the scan.
type ancestors struct {
	seed maphash.Seed
	read map[event.Writer]uint64
	all  map[uint64]struct{}
}

// hadOnce reports whether the pool ever had that content at p.
func (r *replica) hadOnce(p event.Path, content chunker.ID) (bool, error) {
	a := r.past
	if a == nil {
		a = &ancestors{seed: maphash.MakeSeed(), read: map[event.Writer]uint64{}, all: map[uint64]struct{}{}}
	}
	err := r.eachLeaf(a.read, logQuery{}, func(l event.Leaf) {
		if l.Event.Value.Live() {
			a.all[a.key(l.Event.Path, l.Event.Value.Content())] = struct{}{}
		}
	})
	if err != nil {
		return false, err
	}
	r.past = a
	_, ok := a.all[a.key(p, content)]
	return ok, nil
}

// forgetPast frees what a scan has read of the logs.
func (r *replica) forgetPast() {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.past = nil
	for _, e := range r.elders {
		e.past = nil
	}
}

// key is a keyed hash: that two of a million meet by chance is not to be
// expected, and by intent not possible.
func (a *ancestors) key(p event.Path, content chunker.ID) uint64 {
	var h maphash.Hash
	h.SetSeed(a.seed)
	_, _ = h.Write(content[:])      // never fails
	_, _ = h.WriteString(string(p)) // never fails
	return h.Sum64()
}

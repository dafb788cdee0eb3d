package node

import (
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// retire lets the pools that were merged into others speak to members who have
// not heard of it: their records and logs are exchanged, and nothing more. It
// reports whether one has to wait until this node's own files are published
// under the new pool, so that those who follow find them there.
func (h *heirs) retire() (waits bool) {
	ids, err := h.n.home.retired()
	if err != nil {
		h.n.log.Warn("merged pools", "err", err)
		return false
	}
	for _, id := range ids {
		waits = h.retireOne(id) || waits
	}
	return waits
}

func (h *heirs) retireOne(id event.PoolID) (waits bool) {
	st, ro, err := h.n.home.roster(id)
	if err != nil {
		h.n.log.Warn("merged pool", "err", err)
		return false
	}
	into, _ := ro.Merged()
	now := h.n.find(into.ID)
	if now != nil && !now.looked() {
		return true
	}
	if now != nil && h.complete(id, now) {
		h.n.unretire(id)
		return false
	}
	return h.n.speakFor(id, st) != nil
}

// complete reports whether all members of a merged pool have been heard of in
// the one that it goes on as, or have left.
func (h *heirs) complete(id event.PoolID, now *replica) bool {
	_, ro, err := h.n.home.roster(id)
	if err != nil {
		return false
	}
	for _, m := range ro.Members() {
		if m.ID != h.n.self && now.Member(m.ID) && now.reports.get(m.ID) == nil {
			return false
		}
	}
	return true
}

// looked reports whether the folder was looked at whole in this run.
func (r *replica) looked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// speakFor takes a merged pool into the feed, unless it is there.
func (n *Node) speakFor(id event.PoolID, st *store.Pool) error {
	n.mu.Lock()
	_, there := n.retired[id]
	n.mu.Unlock()
	if there {
		return nil
	}
	r := n.newReplica(id, "", st)
	r.loadReports()
	if err := n.feed.Join(r); err != nil {
		return err
	}
	n.mu.Lock()
	n.retired[id] = r
	n.mu.Unlock()
	n.links.poke.poke()
	return nil
}

// unretire ends speakFor.
func (n *Node) unretire(id event.PoolID) {
	n.mu.Lock()
	_, there := n.retired[id]
	delete(n.retired, id)
	n.mu.Unlock()
	if there {
		n.feed.Leave(id)
	}
}

// eldersOf are the pools that were merged into id here.
func (n *Node) eldersOf(id event.PoolID) []*replica {
	ids, err := n.home.retired()
	if err != nil {
		n.log.Warn("merged pools", "err", err)
		return nil
	}
	var out []*replica
	for _, old := range ids {
		st, ro, err := n.home.roster(old)
		if err != nil {
			continue // told above, where it is needed
		}
		if into, ok := ro.Merged(); ok && into.ID == id {
			out = append(out, n.reader(old, st))
		}
	}
	return out
}

// pools are the states of this node's pools, those of retired ones as well.
func (n *Node) pools() []*store.Pool {
	var out []*store.Pool
	for _, r := range n.all() {
		out = append(out, r.st)
	}
	ids, err := n.home.retired()
	if err != nil {
		n.log.Warn("merged pools", "err", err)
	}
	for _, id := range ids {
		if st, _, err := n.home.roster(id); err == nil {
			out = append(out, st)
		}
	}
	return out
}

// reader is a pool of which only the state is read.
func (n *Node) reader(id event.PoolID, st *store.Pool) *replica {
	return &replica{id: id, self: n.self, st: st, log: n.log}
}

// pickRetired finds the merged pool that a person means, or nil.
func (n *Node) pickRetired(name string) *replica {
	id, err := n.home.pickRetired(name)
	if err != nil {
		return nil
	}
	st, _, err := n.home.roster(id)
	if err != nil {
		return nil
	}
	return n.reader(id, st)
}

package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/pool"
)

// NoteMerge checks whether a pool of this node may go on as the ticket's, and
// keeps that in the state, durably, for a running node to carry out. name is
// the pool's, as in Pick. Errors are *Error.
func (h *Home) NoteMerge(_ context.Context, ticket, name string) (PendingJoin, error) {
	p, err := h.Pick(name)
	if err != nil {
		return PendingJoin{}, err
	}
	_, ro, err := h.roster(p.ID)
	if err != nil {
		return PendingJoin{}, err
	}
	tk, err := pool.ParseTicket(ticket)
	if err != nil {
		return PendingJoin{}, poolTrouble(err)
	}
	if err := h.mayMerge(p, ro, tk); err != nil {
		return PendingJoin{}, err
	}
	me, _ := ro.Member(h.id)
	return h.note(PendingJoin{Ticket: tk.String(), Dir: p.Path, Name: me.Name, Created: time.Now().UTC(), From: p.ID.String()})
}

// mayMerge says why the pool ro in p cannot go on as the ticket's, or nil.
func (h *Home) mayMerge(p HomePool, ro *pool.Roster, tk pool.Ticket) error {
	me, _ := ro.Member(h.id)
	if into, merged := ro.Merged(); merged {
		return trouble("merged", nil, "the pool %q was merged into %q already", ro.Name(), into.Name)
	}
	switch {
	case tk.Pool == p.ID:
		return trouble("already_member", nil, "the ticket is one of %q itself", ro.Name())
	case !me.Role.Admin():
		return trouble("not_allowed", nil, "only an admin of %q may merge it into another pool", ro.Name())
	case h.hasPool(tk.Pool):
		return trouble("already_member", nil, "this node has a folder of %q already: move the files of %s there, and leave %q", tk.PoolName, p.Path, ro.Name())
	case !tk.Role.Writes():
		return trouble("ticket_narrow", nil, "the ticket is one for a %s, who cannot bring files along", tk.Role)
	case time.Now().After(tk.Expires):
		return poolTrouble(pool.ErrTicketExpired)
	}
	return nil
}

// mergedFrom is the roster of the pool that j merges.
func (h *Home) mergedFrom(j PendingJoin) (*pool.Roster, error) {
	p, err := h.Pick(j.From)
	if err != nil {
		return nil, err
	}
	_, ro, err := h.roster(p.ID)
	return ro, err
}

// signMerge writes into the roster of j's pool that it goes on as into, unless
// it says so already.
func (h *Home) signMerge(j PendingJoin, into pool.Successor) error {
	ro, err := h.mergedFrom(j)
	if err != nil {
		return err
	}
	if _, merged := ro.Merged(); merged {
		return nil
	}
	st, err := h.db.Pool(ro.ID())
	if err != nil {
		return stateTrouble(h.StateDir(), err)
	}
	rec, err := ro.Merge(h.key, into, h.clock.Now())
	if err != nil {
		return poolTrouble(err)
	}
	_, err = st.AddRecords([]pool.Record{rec})
	return stateTrouble(h.StateDir(), err)
}

// succeeds reports whether j's folder is that of a pool which was merged into
// the one that j's ticket leads to.
func (h *Home) succeeds(j PendingJoin) bool {
	_, ok := h.elderAt(j)
	return ok
}

func (h *Home) elderAt(j PendingJoin) (HomePool, bool) {
	tk, err := pool.ParseTicket(j.Ticket)
	if err != nil {
		return HomePool{}, false
	}
	for _, p := range h.Pools() {
		_, ro, err := h.roster(p.ID)
		if err != nil || p.Path != filepath.Clean(j.Dir) {
			continue
		}
		if into, ok := ro.Merged(); ok && into.ID == tk.Pool {
			return p, true
		}
	}
	return HomePool{}, false
}

// learn keeps the roster of a pool that this node is a member of and has no
// folder for yet.
func (h *Home) learn(ro *pool.Roster) error {
	if _, ok := ro.Member(h.id); !ok {
		return trouble("not_member", nil, "this node is no member of %q", ro.Name())
	}
	st, err := h.db.Pool(ro.ID())
	if err == nil {
		_, err = st.AddRecords(ro.Records())
	}
	return stateTrouble(h.StateDir(), err)
}

// handOver makes p's folder the folder of pool to: its marker, then the config,
// each durable. Nothing of p may be running. What is left half done by a crash
// between the two finishMoves completes.
func (h *Home) handOver(p HomePool, to event.PoolID) error {
	f, err := folder.Open(folder.Config{Root: p.Path, Pool: p.ID, Log: h.log})
	if err != nil {
		return folderTrouble(p.Path, err)
	}
	if err := f.Hand(to); err != nil {
		_ = f.Close() // err says what matters
		return folderTrouble(p.Path, err)
	}
	if err := f.Close(); err != nil {
		return folderTrouble(p.Path, err)
	}
	return h.rewrite(p, to)
}

// rewrite has the config name pool to in p's folder.
func (h *Home) rewrite(p HomePool, to event.PoolID) error {
	return h.edit(func(c *configFile) (*configFile, error) {
		c, err := c.withoutPool(p.ID)
		if err != nil {
			return nil, err
		}
		return c.withPool(HomePool{ID: to, Path: p.Path})
	})
}

// finishMoves completes each handOver that a crash cut short.
func (h *Home) finishMoves() {
	for _, p := range h.Pools() {
		_, ro, err := h.roster(p.ID)
		if err != nil {
			continue // its state was lost: members tell again
		}
		into, merged := ro.Merged()
		if !merged || h.hasPool(into.ID) || markedBy(p.Path) != into.ID {
			continue
		}
		if err := h.rewrite(p, into.ID); err != nil {
			h.log.Error("merge", "pool", ro.Name(), "into", into.Name, "err", err)
		}
	}
}

// markedBy is the pool that a folder's marker names; zero where there is none.
func markedBy(dir string) event.PoolID {
	b, err := os.ReadFile(filepath.Join(dir, ".meerkat", "pool"))
	if err != nil {
		return event.PoolID{}
	}
	m, err := folder.DecodeMarker(b)
	if err != nil {
		return event.PoolID{}
	}
	return m.Pool
}

// retired lists the pools that were merged into others and have no folder here
// any more; their history stays until they are left.
func (h *Home) retired() ([]event.PoolID, error) {
	return h.folderless(func(ro *pool.Roster) bool {
		_, merged := ro.Merged()
		return merged
	})
}

// pickRetired finds, among the retired pools, the one that a person means by
// its name, full id or unique prefix of it.
func (h *Home) pickRetired(name string) (event.PoolID, error) {
	ids, err := h.retired()
	if err != nil {
		return event.PoolID{}, err
	}
	var hits []event.PoolID
	for _, id := range ids {
		_, ro, err := h.roster(id)
		if err == nil && name != "" && (ro.Name() == name || strings.HasPrefix(id.String(), strings.ToLower(name))) {
			hits = append(hits, id)
		}
	}
	switch len(hits) {
	case 0:
		return event.PoolID{}, trouble("no_pool", nil, "no pool is called %q", name)
	case 1:
		return hits[0], nil
	}
	return event.PoolID{}, trouble("which_pool", nil, "several pools match %q", name)
}

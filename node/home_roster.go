package node

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
)

// act signs one record on top of a pool's roster and stores it. f makes it.
func (h *Home) act(name string, f func(*store.Pool, *pool.Roster) (pool.Record, error)) (HomePool, error) {
	p, err := h.Pick(name)
	if err != nil {
		return HomePool{}, err
	}
	st, ro, err := h.roster(p.ID)
	if err != nil {
		return HomePool{}, err
	}
	rec, err := f(st, ro)
	if err != nil {
		return HomePool{}, poolTrouble(err)
	}
	if _, err := st.AddRecords([]pool.Record{rec}); err != nil {
		return HomePool{}, stateTrouble(h.StateDir(), err)
	}
	return p, nil
}

// actOn is act on a member.
func (h *Home) actOn(name, member string, f func(*store.Pool, *pool.Roster, peer.ID) (pool.Record, error)) (HomePool, error) {
	return h.act(name, func(st *store.Pool, ro *pool.Roster) (pool.Record, error) {
		m, err := PickMember(ro, member)
		if err != nil {
			return pool.Record{}, err
		}
		return f(st, ro, m.ID)
	})
}

// PeerRemove takes a member out of the pool. What is known here of its changes
// stays, but for the last ones whose content has not come; later ones do not
// count. It returns the pool that was meant.
func (h *Home) PeerRemove(_ context.Context, name, member string) (HomePool, error) {
	return h.actOn(name, member, func(st *store.Pool, ro *pool.Roster, id peer.ID) (pool.Record, error) {
		cut, err := cutFor(st, id)
		if err != nil {
			return pool.Record{}, err
		}
		return ro.Remove(h.key, id, cut, h.clock.Now())
	})
}

// PeerRole gives a member another role.
func (h *Home) PeerRole(_ context.Context, name, member, role string) (HomePool, error) {
	r, err := pool.ParseRole(role)
	if err != nil {
		return HomePool{}, trouble("bad_role", nil, "there is no role %q", role)
	}
	return h.actOn(name, member, func(st *store.Pool, ro *pool.Roster, id peer.ID) (pool.Record, error) {
		if m, _ := ro.Member(id); m.Role == r {
			return pool.Record{}, trouble("already_so", nil, "%s is a %s already", m.Name, r)
		}
		return ro.SetRole(h.key, id, r, headsOf(st), h.clock.Now())
	})
}

// PeerRename gives a member another name in the pool.
func (h *Home) PeerRename(_ context.Context, name, member, to string) (HomePool, error) {
	return h.actOn(name, member, func(_ *store.Pool, ro *pool.Roster, id peer.ID) (pool.Record, error) {
		if m, _ := ro.Member(id); m.Name == to {
			return pool.Record{}, trouble("already_so", nil, "it is called %q already", to)
		}
		return ro.Rename(h.key, id, to, h.clock.Now())
	})
}

// PoolRename gives the pool another name, for all members.
func (h *Home) PoolRename(_ context.Context, name, to string) (HomePool, error) {
	return h.act(name, func(_ *store.Pool, ro *pool.Roster) (pool.Record, error) {
		if ro.Name() == to {
			return pool.Record{}, trouble("already_so", nil, "it is called %q already", to)
		}
		return ro.Rename(h.key, "", to, h.clock.Now())
	})
}

// SignLeave writes into the roster that this node leaves the pool, so that a
// running node can tell the others before Forget. It refuses the last admin of
// a pool with other members; with none there is nobody to tell, and nothing is
// written.
func (h *Home) SignLeave(_ context.Context, name string) (HomePool, error) {
	p, err := h.Pick(name)
	if err != nil {
		if id, e := h.pickRetired(name); e == nil {
			return HomePool{ID: id}, nil // it goes on as another one, whose members stay
		}
		return HomePool{}, err
	}
	st, ro, err := h.roster(p.ID)
	if err != nil {
		return p, nil //nolint:nilerr // without a roster there is nothing to sign
	}
	if _, ok := ro.Member(h.id); !ok || len(ro.Members()) == 1 {
		return p, nil
	}
	rec, err := ro.Remove(h.key, h.id, headsOf(st), h.clock.Now())
	if err != nil {
		return HomePool{}, poolTrouble(err)
	}
	if _, err := st.AddRecords([]pool.Record{rec}); err != nil {
		return HomePool{}, stateTrouble(h.StateDir(), err)
	}
	return p, nil
}

// Forget takes a pool out of config, state and the folder's marker, in this
// order; its files stay. Nothing of the pool may be running. Where no member
// was told that this node has left, it will be, when a node runs here.
func (h *Home) Forget(p HomePool, told bool) error {
	var untold *parting
	if !told {
		untold = h.parting(p.ID)
	}
	err := h.edit(func(c *configFile) (*configFile, error) { return c.withoutPool(p.ID) })
	if err != nil {
		return err
	}
	if err := h.db.Drop(p.ID); err != nil {
		return stateTrouble(h.StateDir(), err)
	}
	if untold != nil {
		if err := h.part(p.ID, untold); err != nil {
			return err
		}
	}
	return unmark(p)
}

// Leave is SignLeave and Forget, where no node runs: the other members learn of
// it when one does.
func (h *Home) Leave(ctx context.Context, name string) error {
	p, err := h.SignLeave(ctx, name)
	if err != nil {
		return err
	}
	return h.Forget(p, false)
}

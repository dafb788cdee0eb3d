package node

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
)

// Identity is this node's id without addresses: it is not known to run.
func (h *Home) Identity(context.Context) (IDInfo, error) {
	return IDInfo{Schema: SchemaID, ID: h.id.String(), Name: h.Name(), Addrs: []string{}}, nil
}

// Init makes a pool of dir, an absolute path, which is made if it is not there;
// files that lie in it stay. name "" is the directory's own. An Init that a
// crash has cut short is taken up again.
func (h *Home) Init(_ context.Context, dir, name string) (PoolInfo, error) {
	if name == "" {
		name = filepath.Base(dir)
	}
	if err := pool.CheckName(name); err != nil {
		return PoolInfo{}, poolTrouble(err)
	}
	if err := h.CheckDir(dir); err != nil {
		return PoolInfo{}, err
	}
	if info, ok, err := h.resume(dir); ok || err != nil {
		return info, err
	}
	rec, err := pool.Found(h.key, name, h.Name(), h.clock.Now())
	if err != nil {
		return PoolInfo{}, poolTrouble(err)
	}
	ro, err := pool.NewRoster([]pool.Record{rec})
	if err != nil {
		return PoolInfo{}, poolTrouble(err)
	}
	info, err := h.EnterPool(ro, dir)
	if err != nil {
		return PoolInfo{}, err
	}
	return info, h.founded(ro.ID())
}

// founded notes that this state is the pool's: who founds a pool has nobody to
// compare with, also where the first member comes and goes before anybody could
// have looked.
func (h *Home) founded(id event.PoolID) error {
	st, err := h.db.Pool(id)
	if err == nil {
		err = st.Set(mergedKey, []byte{1})
	}
	if err != nil {
		return stateTrouble(h.StateDir(), err)
	}
	return nil
}

// resume finishes an EnterPool that stopped between the folder's marker and the
// config: dir is marked as a pool's that this node is a member of, and that has
// no folder here.
func (h *Home) resume(dir string) (PoolInfo, bool, error) {
	ids, err := h.db.Pools()
	if err != nil {
		return PoolInfo{}, false, stateTrouble(h.StateDir(), err)
	}
	for _, id := range ids {
		if h.hasPool(id) {
			continue
		}
		f, err := folder.Open(folder.Config{Root: dir, Pool: id, Log: h.log})
		if err != nil {
			continue // not this pool's
		}
		if err := f.Close(); err != nil {
			return PoolInfo{}, false, folderTrouble(dir, err)
		}
		info, err := h.addPool(id, dir)
		return info, true, err
	}
	return PoolInfo{}, false, nil
}

func (h *Home) hasPool(id event.PoolID) bool {
	return slices.ContainsFunc(h.Pools(), func(p HomePool) bool { return p.ID == id })
}

// EnterPool makes dir the folder of the roster's pool: records
// into the state, marker into the folder, pool into the config, in this order,
// each durable. This node must be a member. A folder that bears the pool's
// marker already is taken as it is. dir is an absolute path.
func (h *Home) EnterPool(ro *pool.Roster, dir string) (PoolInfo, error) {
	if _, ok := ro.Member(h.id); !ok {
		return PoolInfo{}, trouble("removed", nil, "this node is not a member of %q", ro.Name())
	}
	if p, ok := h.left(ro.ID()); ok {
		return h.reenter(p, ro, dir)
	}
	if h.hasPool(ro.ID()) {
		return PoolInfo{}, trouble("folder_taken", nil, "this node has the pool %q already", ro.Name())
	}
	if err := h.CheckDir(dir); err != nil {
		return PoolInfo{}, err
	}
	st, err := h.db.Pool(ro.ID())
	if err == nil {
		_, err = st.AddRecords(ro.Records())
	}
	if err != nil {
		return PoolInfo{}, stateTrouble(h.StateDir(), err)
	}
	if err := h.mark(dir, ro.ID()); err != nil {
		return PoolInfo{}, err
	}
	return h.addPool(ro.ID(), dir)
}

func (h *Home) mark(dir string, id event.PoolID) error {
	c := folder.Config{Root: dir, Pool: id, Log: h.log}
	f, err := folder.Create(c)
	if g, ok := errors.AsType[*folder.GuardError](err); ok && g.Why == folder.WhyTaken {
		f, err = folder.Open(c)
	}
	if err == nil {
		err = f.Close()
	}
	return folderTrouble(dir, err)
}

func (h *Home) addPool(id event.PoolID, dir string) (PoolInfo, error) {
	p := HomePool{ID: id, Path: filepath.Clean(dir)}
	err := h.edit(func(c *configFile) (*configFile, error) { return c.withPool(p) })
	if err != nil {
		return PoolInfo{}, err
	}
	return h.poolInfo(p), nil
}

// PoolList lists this node's pools, and after them the joins that wait.
func (h *Home) PoolList(context.Context) ([]PoolInfo, error) {
	out := []PoolInfo{}
	for _, p := range h.Pools() {
		out = append(out, h.poolInfo(p))
	}
	gone, err := h.retired()
	for _, id := range gone {
		out = append(out, h.poolInfo(HomePool{ID: id}))
	}
	if err != nil {
		return out, err
	}
	waiting, err := h.pending()
	for _, j := range waiting {
		out = append(out, j.Info())
	}
	return out, err
}

// poolInfo describes a pool. One whose roster was lost with the state has no
// name and role until a member tells them again.
func (h *Home) poolInfo(p HomePool) PoolInfo {
	info := PoolInfo{Schema: SchemaPool, ID: p.ID.String(), Path: p.Path, Name: filepath.Base(p.Path), Role: "none", Pending: true}
	_, ro, err := h.roster(p.ID)
	if err != nil {
		return info
	}
	info.Name, info.Pending = ro.Name(), false
	if into, merged := ro.Merged(); merged {
		info.MergedInto = into.Name
	}
	if m, ok := ro.Member(h.id); ok {
		info.Role = m.Role.String()
	}
	return info
}

// roster is a pool's state and roster.
func (h *Home) roster(id event.PoolID) (*store.Pool, *pool.Roster, error) {
	st, err := h.db.Pool(id)
	if err != nil {
		return nil, nil, stateTrouble(h.StateDir(), err)
	}
	ro := st.Roster()
	if ro == nil {
		return nil, nil, trouble("no_pool", nil, "the roster of pool %s is not known here any more", id)
	}
	return st, ro, nil
}

// folderless lists the pools that have no folder here any more, and whose rosters are such.
func (h *Home) folderless(such func(*pool.Roster) bool) ([]event.PoolID, error) {
	ids, err := h.db.Pools()
	if err != nil {
		return nil, stateTrouble(h.StateDir(), err)
	}
	var out []event.PoolID
	for _, id := range ids {
		if h.hasPool(id) {
			continue
		}
		if _, ro, err := h.roster(id); err == nil && such(ro) {
			out = append(out, id)
		}
	}
	return out, nil
}

// Pick finds the pool that a person means by its name, full id, unique prefix
// of it, or "" where there is only one.
func (h *Home) Pick(name string) (HomePool, error) {
	all := h.Pools()
	if len(all) == 0 {
		return HomePool{}, &Error{Code: "no_pool", Message: "this node has no pool", Hint: `make one with "meerkat init DIR", or join one`, Exit: exitNotFound}
	}
	var hits, named []HomePool
	for _, p := range all {
		if h.poolInfo(p).Name == name {
			named = append(named, p)
		}
		if strings.HasPrefix(p.ID.String(), strings.ToLower(name)) {
			hits = append(hits, p)
		}
	}
	if len(named) > 0 {
		hits = named
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(hits) == 0:
		return HomePool{}, trouble("no_pool", nil, "no pool is called %q", name)
	case name == "":
		return HomePool{}, trouble("which_pool", nil, "this node has several pools")
	}
	return HomePool{}, trouble("which_pool", nil, "several pools match %q", name)
}

// PickMember finds the member of a roster that a person means by name, full id
// or unique prefix of it.
func PickMember(ro *pool.Roster, name string) (pool.Member, error) {
	var hits []pool.Member
	for _, m := range ro.Members() {
		if id := m.ID.String(); id == name {
			return m, nil
		} else if m.Name == name || name != "" && strings.HasPrefix(id, name) {
			hits = append(hits, m)
		}
	}
	switch len(hits) {
	case 0:
		return pool.Member{}, trouble("no_node", nil, "no member is called %q", name)
	case 1:
		return hits[0], nil
	}
	return pool.Member{}, trouble("which_node", nil, "several members match %q", name)
}

// Invite makes a ticket for the pool. addrs are where this node can be met; at
// most pool.MaxAddrs of them are used. Zero fields of r take the defaults:
// writer, one use, one day.
func (h *Home) Invite(_ context.Context, r InviteRequest, addrs []string) (TicketInfo, error) {
	p, err := h.Pick(r.Pool)
	if err != nil {
		return TicketInfo{}, err
	}
	_, ro, err := h.roster(p.ID)
	if err != nil {
		return TicketInfo{}, err
	}
	if into, merged := ro.Merged(); merged {
		return TicketInfo{}, trouble("merged", nil, "the pool %q was merged into %q", ro.Name(), into.Name)
	}
	if r.Role == "" {
		r.Role = pool.Writer.String()
	}
	role, err := pool.ParseRole(r.Role)
	if err != nil {
		return TicketInfo{}, trouble("bad_role", nil, "there is no role %q", r.Role)
	}
	if r.Expires == 0 {
		r.Expires = 24 * time.Hour
	}
	if r.Uses == 0 {
		r.Uses = 1
	}
	now := time.Now()
	tk, err := ro.Invite(h.key, role, now.Add(r.Expires), r.Uses, addrs[:min(len(addrs), pool.MaxAddrs)], now)
	if err != nil {
		return TicketInfo{}, poolTrouble(err)
	}
	return TicketInfo{
		Schema: SchemaTicket, Ticket: tk.String(), Pool: tk.PoolName,
		Role: tk.Role.String(), Expires: tk.Expires, Uses: tk.Uses,
	}, nil
}

// PeerList lists a pool's members as the roster has them; nothing is known of
// who is online.
func (h *Home) PeerList(_ context.Context, name string) ([]Member, error) {
	p, err := h.Pick(name)
	if err != nil {
		return nil, err
	}
	_, ro, err := h.roster(p.ID)
	if err != nil {
		return nil, err
	}
	out := []Member{}
	for _, m := range ro.Members() {
		out = append(out, h.member(m))
	}
	return out, nil
}

func (h *Home) member(m pool.Member) Member {
	return Member{
		Schema: SchemaMember, ID: m.ID.String(), Name: m.Name, Role: m.Role.String(),
		Self: m.ID == h.id, Link: Link{Kind: "none"},
	}
}

// headsOf is how far each writer's log is known here, on any branch: what a cut keeps.
func headsOf(st *store.Pool) event.Vector {
	v := event.Vector{}
	for _, head := range st.Extents() {
		v[head.Writer] = head.Seq
	}
	return v
}

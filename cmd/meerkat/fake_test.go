package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// canned is a node with a fixed small world: what the scripts below
// testdata/fake talk to. It remembers nothing; what it is asked to do it says
// through the errors and answers that the scripts look at.
type canned struct {
	asked func(format string, args ...any)
}

var _ control.Backend = canned{}

const (
	laptopID = "12D3KooWGRUVh8rGyp5fTQsHsbTBUsSBJ9i9yMbgcVH8zvJZx2yq"
	piID     = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"
	evilID   = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	homeID   = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11"
	workID   = "bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func (canned) pools() []node.PoolInfo {
	return []node.PoolInfo{
		{Schema: node.SchemaPool, ID: homeID, Name: "home", Path: "/home/ana/Sync", Role: "admin"},
		{Schema: node.SchemaPool, ID: workID, Name: "work", Path: "/srv/work", Role: "reader"},
	}
}

func (canned) members() []node.Member {
	return []node.Member{
		{ID: laptopID, Name: "laptop", Role: "admin", Self: true, Online: true, Link: node.Link{Kind: "none"}},
		{
			ID: piID, Name: "pi", Role: "keeper", Online: true, LastSeen: &noon,
			Link:         node.Link{Kind: "direct", Transport: "quic-v1", Addr: "/ip4/10.0.0.7/udp/7716/quic-v1", RTTms: 31},
			MissingThere: node.Amount{Files: 14, Bytes: 32505856},
		},
		{ID: evilID, Name: "e\x1b[31mvil\nname", Role: "writer", LastSeen: &noon, Link: node.Link{Kind: "none"}},
	}
}

func (c canned) member(name string) (node.Member, error) {
	for _, m := range c.members() {
		if m.Name == name || m.ID == name {
			return m, nil
		}
	}
	return node.Member{}, &node.Error{Code: "no_such_node", Message: fmt.Sprintf("there is no member %q", name), Hint: `"meerkat peer ls" lists them`, Exit: 4}
}

func (canned) Identity(context.Context) (node.IDInfo, error) {
	return node.IDInfo{Schema: node.SchemaID, ID: laptopID, Name: "laptop", Addrs: []string{"/ip4/10.0.0.5/tcp/7716/p2p/" + laptopID}}, nil
}

func (c canned) Status(context.Context) (node.Status, error) {
	home := node.PoolStatus{
		ID: homeID, Name: "home", Path: "/home/ana/Sync", Role: "admin", State: node.StateFetching, Files: 18204, Dirs: 311, Bytes: 45204131840,
		WantedHere: node.Amount{Files: 3, Bytes: 3000000}, Root: "beef", NeedsYou: 2, Conflicts: 1, Members: c.members(),
		Problems: []node.Problem{{Path: "a/\ufffd", PathB64: "YS//", Code: "unreadable", Message: "permission denied", Hint: "chmod it"}},
		Progress: &node.Progress{Kind: "fetch", DoneFiles: 1, TotalFiles: 4, DoneBytes: 1000000, TotalBytes: 4000000},
	}
	work := node.PoolStatus{ID: workID, Name: "work", Path: "/srv/work", Role: "reader", State: node.StateInSync, Problems: []node.Problem{}, Members: []node.Member{}}
	return node.Status{
		Schema: node.SchemaStatus, Pools: []node.PoolStatus{home, work},
		Node:     node.NodeStatus{ID: laptopID, Name: "laptop", Version: "v", UptimeMs: 3600000, Addrs: []string{}, Reachability: "private"},
		Transfer: node.Transfer{RateIn: 1000000},
	}, nil
}

func (c canned) Watch(ctx context.Context, f func(node.Status) error) error {
	s, _ := c.Status(ctx)
	if err := f(s); err != nil {
		return err
	}
	if err := f(s); err != nil { // the same again: nothing to print
		return err
	}
	s.Pools = slices.Clone(s.Pools)
	s.Pools[0].State, s.Pools[0].Progress, s.Pools[0].WantedHere = node.StateInSync, nil, node.Amount{}
	return f(s)
}

// Wait is never done: the scripts wait with a timeout.
func (canned) Wait(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }

func (c canned) Scan(_ context.Context, pool, path string) error {
	c.asked("scan %q %q", pool, path)
	if path == "halted" {
		return &node.Error{Code: "guard", Message: "home is halted", Hint: "look at it", Exit: 8}
	}
	return nil
}

func (c canned) Reload(context.Context) error { return nil }

func (c canned) Init(_ context.Context, dir, name string) (node.PoolInfo, error) {
	c.asked("init %q %q", dir, name)
	return node.PoolInfo{Schema: node.SchemaPool, ID: homeID, Name: "Sync", Path: dir, Role: "admin"}, nil
}

func (c canned) Invite(_ context.Context, r node.InviteRequest) (node.TicketInfo, error) {
	c.asked("invite %+v", r)
	return node.TicketInfo{Schema: node.SchemaTicket, Ticket: "mkt1abc", Pool: "home", Role: r.Role, Expires: noon.Add(r.Expires), Uses: r.Uses}, nil
}

func (c canned) Join(ctx context.Context, r node.JoinRequest) (node.PoolInfo, error) {
	c.asked("join %+v", r)
	p := node.PoolInfo{Schema: node.SchemaPool, ID: homeID, Name: "home", Path: r.Dir, Role: "writer"}
	switch {
	case r.Ticket == "mkt1expired":
		return p, &node.Error{Code: "ticket_expired", Message: "the ticket is not good any more", Hint: "ask for a new one", Exit: 9}
	case r.Node != "":
		<-ctx.Done()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			p.Pending = true
			return p, nil
		}
		return p, ctx.Err()
	}
	return p, nil
}

func (canned) Requests(context.Context) ([]node.RequestInfo, error) {
	return []node.RequestInfo{{Schema: node.SchemaRequest, ID: evilID, Name: "e\x1b[31mvil", Since: noon, Addr: "/ip4/10.0.0.9", Words: []string{"lake", "zoo", "apple", "river"}}}, nil
}

func (c canned) Approve(_ context.Context, pool, member, role string) (node.Member, error) {
	c.asked("approve %q %q %q", pool, member, role)
	return node.Member{Schema: node.SchemaMember, ID: evilID, Name: member, Role: role}, nil
}

func (c canned) Deny(_ context.Context, member string) error {
	c.asked("deny %q", member)
	return nil
}

func (c canned) Peers(context.Context, string) ([]node.Member, error) { return c.members(), nil }

func (c canned) Peer(_ context.Context, _, member string) (node.Member, error) {
	return c.member(member)
}

func (c canned) PeerRemove(_ context.Context, pool, member string) error {
	c.asked("peer-remove %q %q", pool, member)
	return nil
}

func (c canned) PeerRename(_ context.Context, pool, member, name string) error {
	c.asked("peer-rename %q %q %q", pool, member, name)
	return nil
}

func (c canned) PeerRole(_ context.Context, pool, member, role string) error {
	c.asked("peer-role %q %q %q", pool, member, role)
	return nil
}

func (c canned) PeerAdd(_ context.Context, addr string) error {
	c.asked("peer-add %q", addr)
	return nil
}

func (c canned) Pools(context.Context) ([]node.PoolInfo, error) { return c.pools(), nil }

func (c canned) PoolLeave(_ context.Context, pool string) error {
	c.asked("pool-leave %q", pool)
	return nil
}

func (c canned) PoolMerge(_ context.Context, ticket, pool string) (node.PoolInfo, error) {
	c.asked("pool-merge %q %q", ticket, pool)
	return node.PoolInfo{Schema: node.SchemaPool, ID: homeID, Name: "family", Path: "/home/ana/Sync", Role: "writer"}, nil
}

func (c canned) PoolRename(_ context.Context, pool, name string) error {
	c.asked("pool-rename %q %q", pool, name)
	return nil
}

func (c canned) Ping(_ context.Context, member string) (node.PingInfo, error) {
	m, err := c.member(member)
	if err != nil {
		return node.PingInfo{}, err
	}
	return node.PingInfo{Schema: node.SchemaPing, ID: m.ID, OK: m.Online, RTTms: m.Link.RTTms, Link: m.Link}, nil
}

func (c canned) Log(_ context.Context, r node.LogRequest, f func(node.ChangeInfo) error) error {
	c.asked("log %q %q %v", r.Pool, r.Path, r.Follow)
	for _, ch := range []node.ChangeInfo{
		{Schema: node.SchemaChange, Time: noon, Pool: homeID, By: piID, ByName: "pi", Action: "changed", Kind: "file", Path: "a\nb", Size: 2048},
		{Schema: node.SchemaChange, Time: noon, Pool: homeID, By: evilID, Action: "deleted", Kind: "file", Path: "a/\ufffd", PathB64: "YS//"},
	} {
		if err := f(ch); err != nil {
			return err
		}
	}
	return nil
}

func (c canned) Events(ctx context.Context, since string, follow bool, f func(node.EventInfo) error) error {
	if err := f(node.EventInfo{Schema: node.SchemaEvent, Cursor: "8", Time: noon, Type: "file.changed", Pool: homeID, By: piID, Path: "a"}); err != nil {
		return err
	}
	if follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

package control_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/bwaklog/meerkat/node"
)

// fake is a backend that remembers what it was asked, and answers what it was told to.
type fake struct {
	mu    sync.Mutex
	calls []string

	err   error                               // the answer of every call, where set
	block bool                                // calls wait for their ctx and return its error
	watch func(func(node.Status) error) error // the stream of Watch
	seen  chan error                          // gets each blocked call's end
}

func (f *fake) call(ctx context.Context, format string, args ...any) error {
	f.mu.Lock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	f.mu.Unlock()
	if f.block {
		<-ctx.Done()
		if f.seen != nil {
			f.seen <- ctx.Err()
		}
		return ctx.Err()
	}
	return f.err
}

func (f *fake) Identity(ctx context.Context) (node.IDInfo, error) {
	return node.IDInfo{Schema: node.SchemaID, ID: "12D3", Addrs: []string{"/ip4/127.0.0.1"}}, f.call(ctx, "id")
}

func (f *fake) Status(ctx context.Context) (node.Status, error) {
	return node.Status{Schema: node.SchemaStatus}, f.call(ctx, "status")
}

func (f *fake) Watch(ctx context.Context, g func(node.Status) error) error {
	if f.watch != nil {
		return f.watch(g)
	}
	if err := f.call(ctx, "watch"); err != nil {
		return err
	}
	return g(node.Status{Schema: node.SchemaStatus})
}

func (f *fake) Wait(ctx context.Context, pool string) error { return f.call(ctx, "wait %s", pool) }

func (f *fake) Scan(ctx context.Context, pool, path string) error {
	return f.call(ctx, "scan %q %q", pool, path)
}

func (f *fake) Reload(ctx context.Context) error { return f.call(ctx, "reload") }

func (f *fake) Init(ctx context.Context, dir, name string) (node.PoolInfo, error) {
	return node.PoolInfo{Path: dir, Name: name}, f.call(ctx, "init %q %q", dir, name)
}

func (f *fake) Invite(ctx context.Context, r node.InviteRequest) (node.TicketInfo, error) {
	return node.TicketInfo{Ticket: "mkt1"}, f.call(ctx, "invite %+v", r)
}

func (f *fake) Join(ctx context.Context, r node.JoinRequest) (node.PoolInfo, error) {
	return node.PoolInfo{Path: r.Dir}, f.call(ctx, "join %+v", r)
}

func (f *fake) Requests(ctx context.Context) ([]node.RequestInfo, error) {
	return []node.RequestInfo{{ID: "a"}, {ID: "b"}}, f.call(ctx, "requests")
}

func (f *fake) Approve(ctx context.Context, pool, member, role string) (node.Member, error) {
	return node.Member{ID: member, Role: role}, f.call(ctx, "approve %q %q %q", pool, member, role)
}

func (f *fake) Deny(ctx context.Context, member string) error { return f.call(ctx, "deny %q", member) }

func (f *fake) Peers(ctx context.Context, pool string) ([]node.Member, error) {
	return []node.Member{{ID: "a"}}, f.call(ctx, "peers %q", pool)
}

func (f *fake) Peer(ctx context.Context, pool, member string) (node.Member, error) {
	return node.Member{ID: member}, f.call(ctx, "peer %q %q", pool, member)
}

func (f *fake) PeerRemove(ctx context.Context, pool, member string) error {
	return f.call(ctx, "peer-remove %q %q", pool, member)
}

func (f *fake) PeerRename(ctx context.Context, pool, member, name string) error {
	return f.call(ctx, "peer-rename %q %q %q", pool, member, name)
}

func (f *fake) PeerRole(ctx context.Context, pool, member, role string) error {
	return f.call(ctx, "peer-role %q %q %q", pool, member, role)
}

func (f *fake) PeerAdd(ctx context.Context, addr string) error {
	return f.call(ctx, "peer-add %q", addr)
}

func (f *fake) Pools(ctx context.Context) ([]node.PoolInfo, error) {
	return []node.PoolInfo{}, f.call(ctx, "pools")
}

func (f *fake) PoolLeave(ctx context.Context, pool string) error {
	return f.call(ctx, "pool-leave %q", pool)
}

func (f *fake) PoolMerge(ctx context.Context, ticket, pool string) (node.PoolInfo, error) {
	return node.PoolInfo{Name: pool}, f.call(ctx, "pool-merge %q %q", ticket, pool)
}

func (f *fake) PoolRename(ctx context.Context, pool, name string) error {
	return f.call(ctx, "pool-rename %q %q", pool, name)
}

func (f *fake) Ping(ctx context.Context, member string) (node.PingInfo, error) {
	return node.PingInfo{ID: member, OK: true}, f.call(ctx, "ping %q", member)
}

func (f *fake) Log(ctx context.Context, r node.LogRequest, g func(node.ChangeInfo) error) error {
	if err := g(node.ChangeInfo{Path: "one"}); err != nil {
		return err
	}
	if err := g(node.ChangeInfo{Path: "two"}); err != nil {
		return err
	}
	return f.call(ctx, "log %+v", r)
}

func (f *fake) Events(ctx context.Context, since string, follow bool, g func(node.EventInfo) error) error {
	if err := g(node.EventInfo{Cursor: "1"}); err != nil {
		return err
	}
	return f.call(ctx, "events %q %v", since, follow)
}

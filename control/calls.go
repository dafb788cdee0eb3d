package control

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

// Identity asks the node who it is.
func (c *Client) Identity(ctx context.Context) (node.IDInfo, error) {
	return ask[node.IDInfo](ctx, c, "id", none{})
}

// Status asks for the node's state now.
func (c *Client) Status(ctx context.Context) (node.Status, error) {
	return ask[node.Status](ctx, c, "status", none{})
}

// Watch calls f with the status at once and after each change.
func (c *Client) Watch(ctx context.Context, f func(node.Status) error) error {
	return follow(ctx, c, "watch", none{}, f)
}

// Wait blocks until the node and every member online want nothing more, in one pool or in all.
func (c *Client) Wait(ctx context.Context, pool string) error {
	return c.do(ctx, "wait", poolArg{Pool: pool})
}

// Scan blocks until path is scanned and published.
func (c *Client) Scan(ctx context.Context, pool, path string) error {
	return c.do(ctx, "scan", pathArg{pool, raw(path)})
}

// Reload has the node read its configuration again.
func (c *Client) Reload(ctx context.Context) error { return c.do(ctx, "reload", none{}) }

// Init makes a pool of dir, an absolute path on the node's machine.
func (c *Client) Init(ctx context.Context, dir, name string) (node.PoolInfo, error) {
	return ask[node.PoolInfo](ctx, c, "init", dirArg{raw(dir), name})
}

// Invite makes a ticket.
func (c *Client) Invite(ctx context.Context, r node.InviteRequest) (node.TicketInfo, error) {
	return ask[node.TicketInfo](ctx, c, "invite", r)
}

// Join blocks until admitted or refused, or until ctx's deadline.
func (c *Client) Join(ctx context.Context, r node.JoinRequest) (node.PoolInfo, error) {
	return ask[node.PoolInfo](ctx, c, "join", joinArg{r.Ticket, r.Node, raw(r.Dir), r.Name})
}

// Requests lists the nodes that ask to be let in.
func (c *Client) Requests(ctx context.Context) ([]node.RequestInfo, error) {
	return ask[[]node.RequestInfo](ctx, c, "requests", none{})
}

// Approve lets a node in that asked.
func (c *Client) Approve(ctx context.Context, pool, member, role string) (node.Member, error) {
	return ask[node.Member](ctx, c, "approve", peerArg{Pool: pool, Member: member, Role: role})
}

// Deny refuses a node that asked.
func (c *Client) Deny(ctx context.Context, member string) error {
	return c.do(ctx, "deny", peerArg{Member: member})
}

// Peers lists a pool's members.
func (c *Client) Peers(ctx context.Context, pool string) ([]node.Member, error) {
	return ask[[]node.Member](ctx, c, "peers", poolArg{Pool: pool})
}

// Peer shows one member.
func (c *Client) Peer(ctx context.Context, pool, member string) (node.Member, error) {
	return ask[node.Member](ctx, c, "peer", peerArg{Pool: pool, Member: member})
}

// PeerRemove takes a member out of the pool.
func (c *Client) PeerRemove(ctx context.Context, pool, member string) error {
	return c.do(ctx, "peer-remove", peerArg{Pool: pool, Member: member})
}

// PeerRename gives a member another name in the pool.
func (c *Client) PeerRename(ctx context.Context, pool, member, name string) error {
	return c.do(ctx, "peer-rename", peerArg{Pool: pool, Member: member, Name: name})
}

// PeerRole gives a member another role.
func (c *Client) PeerRole(ctx context.Context, pool, member, role string) error {
	return c.do(ctx, "peer-role", peerArg{Pool: pool, Member: member, Role: role})
}

// PeerAdd remembers an address that is always tried.
func (c *Client) PeerAdd(ctx context.Context, addr string) error {
	return c.do(ctx, "peer-add", addrArg{addr})
}

// Pools lists the node's pools.
func (c *Client) Pools(ctx context.Context) ([]node.PoolInfo, error) {
	return ask[[]node.PoolInfo](ctx, c, "pools", none{})
}

// PoolLeave forgets a pool on the node; its files stay.
func (c *Client) PoolLeave(ctx context.Context, pool string) error {
	return c.do(ctx, "pool-leave", poolArg{Pool: pool})
}

// PoolMerge has a pool on the node go on as the ticket's.
func (c *Client) PoolMerge(ctx context.Context, ticket, pool string) (node.PoolInfo, error) {
	return ask[node.PoolInfo](ctx, c, "pool-merge", joinArg{Ticket: ticket, Name: pool})
}

// PoolRename gives a pool another name for all members.
func (c *Client) PoolRename(ctx context.Context, pool, name string) error {
	return c.do(ctx, "pool-rename", poolArg{Pool: pool, Name: name})
}

// Ping asks a member for one sign of life.
func (c *Client) Ping(ctx context.Context, member string) (node.PingInfo, error) {
	return ask[node.PingInfo](ctx, c, "ping", peerArg{Member: member})
}

// Log calls f with the signed changes that r selects, newest last.
func (c *Client) Log(ctx context.Context, r node.LogRequest, f func(node.ChangeInfo) error) error {
	return follow(ctx, c, "log", logArg{r.Pool, raw(r.Path), r.Since, r.Follow, r.Last}, f)
}

// Events calls f with what happened behind the cursor since.
func (c *Client) Events(ctx context.Context, since string, follows bool, f func(node.EventInfo) error) error {
	return follow(ctx, c, "events", eventArg{since, follows}, f)
}

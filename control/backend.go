package control

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

// Backend is what stands behind the socket: a running node and its process, or
// the [Client] of one. A pool is named by its name, its full id, a unique prefix of that, or ""
// where there is only one; a member by its name, its full id or a unique
// prefix. Errors meant for people are *node.Error. Every method returns soon
// after its ctx ends; callbacks are called from one goroutine at a time, and an
// error of a callback ends the stream and is returned.
type Backend interface {
	Care
	Guards
	Net
	Process

	// Identity says who the node is and where it listens.
	Identity(ctx context.Context) (node.IDInfo, error)
	// Status gives the node's state now.
	Status(ctx context.Context) (node.Status, error)
	// Watch calls f with the status at once and after each change.
	Watch(ctx context.Context, f func(node.Status) error) error
	// Wait blocks until this node and every member online want nothing more, in one pool or, for "", in all.
	Wait(ctx context.Context, pool string) error
	// Scan blocks until path and what is below is scanned and published; "" is the whole pool.
	Scan(ctx context.Context, pool, path string) error
	// Reload reads the configuration again.
	Reload(ctx context.Context) error

	// Init makes a pool of a folder; dir is absolute.
	Init(ctx context.Context, dir, name string) (node.PoolInfo, error)
	// Invite makes a ticket.
	Invite(ctx context.Context, r node.InviteRequest) (node.TicketInfo, error)
	// Join blocks until admitted or refused; at ctx's deadline the join stays pending.
	Join(ctx context.Context, r node.JoinRequest) (node.PoolInfo, error)
	// Requests lists the nodes that ask to be let in.
	Requests(ctx context.Context) ([]node.RequestInfo, error)
	// Approve lets a node in that asked.
	Approve(ctx context.Context, pool, member, role string) (node.Member, error)
	// Deny refuses a node that asked.
	Deny(ctx context.Context, member string) error

	// Peers lists a pool's members, this node included.
	Peers(ctx context.Context, pool string) ([]node.Member, error)
	// Peer shows one member.
	Peer(ctx context.Context, pool, member string) (node.Member, error)
	// PeerRemove takes a member out of the pool.
	PeerRemove(ctx context.Context, pool, member string) error
	// PeerRename gives a member another name in the pool.
	PeerRename(ctx context.Context, pool, member, name string) error
	// PeerRole gives a member another role.
	PeerRole(ctx context.Context, pool, member, role string) error
	// PeerAdd remembers an address that is always tried.
	PeerAdd(ctx context.Context, addr string) error
	// Pools lists this node's pools.
	Pools(ctx context.Context) ([]node.PoolInfo, error)
	// PoolLeave forgets a pool here; its files stay.
	PoolLeave(ctx context.Context, pool string) error
	// PoolMerge has a pool go on as the ticket's; it blocks until this node's folder has followed. At ctx's deadline the
	// merge goes on by itself.
	PoolMerge(ctx context.Context, ticket, pool string) (node.PoolInfo, error)
	// PoolRename gives a pool another name for all members.
	PoolRename(ctx context.Context, pool, name string) error

	// Ping asks a member for one sign of life.
	Ping(ctx context.Context, member string) (node.PingInfo, error)
	// Log calls f with the signed changes that r selects, newest last.
	Log(ctx context.Context, r node.LogRequest, f func(node.ChangeInfo) error) error
	// Events calls f with what happened behind the cursor since ("" is all that
	// is remembered), and with follow goes on until ctx ends.
	Events(ctx context.Context, since string, follow bool, f func(node.EventInfo) error) error
}

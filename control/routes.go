package control

import (
	"context"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// Requests of more than one argument; the field names are the protocol.
type (
	none    struct{}
	poolArg struct{ Pool, Name string }
	pathArg struct {
		Pool string
		Path raw
	}
	dirArg struct {
		Dir  raw
		Name string
	}
	joinArg struct {
		Ticket, Node string
		Dir          raw
		Name         string
	}
	peerArg struct{ Pool, Member, Name, Role string }
	addrArg struct{ Addr string }
	logArg  struct {
		Pool   string
		Path   raw
		Since  time.Time
		Follow bool
		Last   int
	}
	eventArg struct {
		Since  string
		Follow bool
	}
)

// verb answers one request. It writes to w, or returns the error to be sent.
type verb func(ctx context.Context, b Backend, q *request, w *answer) error

// verbs is every door there is.
var verbs = map[string]verb{
	"id":     one(func(ctx context.Context, b Backend, _ none) (node.IDInfo, error) { return b.Identity(ctx) }),
	"status": one(func(ctx context.Context, b Backend, _ none) (node.Status, error) { return b.Status(ctx) }),
	"watch":  many(func(ctx context.Context, b Backend, _ none, f func(node.Status) error) error { return b.Watch(ctx, f) }),
	"wait":   act(func(ctx context.Context, b Backend, a poolArg) error { return b.Wait(ctx, a.Pool) }),
	"scan":   act(func(ctx context.Context, b Backend, a pathArg) error { return b.Scan(ctx, a.Pool, string(a.Path)) }),
	"reload": act(func(ctx context.Context, b Backend, _ none) error { return b.Reload(ctx) }),
	"init": one(func(ctx context.Context, b Backend, a dirArg) (node.PoolInfo, error) {
		return b.Init(ctx, string(a.Dir), a.Name)
	}),
	"invite": one(func(ctx context.Context, b Backend, a node.InviteRequest) (node.TicketInfo, error) {
		return b.Invite(ctx, a)
	}),
	"join": one(func(ctx context.Context, b Backend, a joinArg) (node.PoolInfo, error) {
		return b.Join(ctx, node.JoinRequest{Ticket: a.Ticket, Node: a.Node, Dir: string(a.Dir), Name: a.Name})
	}),
	"requests": one(func(ctx context.Context, b Backend, _ none) ([]node.RequestInfo, error) { return b.Requests(ctx) }),
	"approve": one(func(ctx context.Context, b Backend, a peerArg) (node.Member, error) {
		return b.Approve(ctx, a.Pool, a.Member, a.Role)
	}),
	"deny":  act(func(ctx context.Context, b Backend, a peerArg) error { return b.Deny(ctx, a.Member) }),
	"peers": one(func(ctx context.Context, b Backend, a poolArg) ([]node.Member, error) { return b.Peers(ctx, a.Pool) }),
	"peer": one(func(ctx context.Context, b Backend, a peerArg) (node.Member, error) {
		return b.Peer(ctx, a.Pool, a.Member)
	}),
	"peer-remove": act(func(ctx context.Context, b Backend, a peerArg) error { return b.PeerRemove(ctx, a.Pool, a.Member) }),
	"peer-rename": act(func(ctx context.Context, b Backend, a peerArg) error {
		return b.PeerRename(ctx, a.Pool, a.Member, a.Name)
	}),
	"peer-role": act(func(ctx context.Context, b Backend, a peerArg) error {
		return b.PeerRole(ctx, a.Pool, a.Member, a.Role)
	}),
	"peer-add":   act(func(ctx context.Context, b Backend, a addrArg) error { return b.PeerAdd(ctx, a.Addr) }),
	"pools":      one(func(ctx context.Context, b Backend, _ none) ([]node.PoolInfo, error) { return b.Pools(ctx) }),
	"pool-leave": act(func(ctx context.Context, b Backend, a poolArg) error { return b.PoolLeave(ctx, a.Pool) }),
	"pool-merge": one(func(ctx context.Context, b Backend, a joinArg) (node.PoolInfo, error) {
		return b.PoolMerge(ctx, a.Ticket, a.Name)
	}),
	"pool-rename": act(func(ctx context.Context, b Backend, a poolArg) error { return b.PoolRename(ctx, a.Pool, a.Name) }),
	"ping":        one(func(ctx context.Context, b Backend, a peerArg) (node.PingInfo, error) { return b.Ping(ctx, a.Member) }),
	"log": many(func(ctx context.Context, b Backend, a logArg, f func(node.ChangeInfo) error) error {
		return b.Log(ctx, node.LogRequest{Pool: a.Pool, Path: string(a.Path), Since: a.Since, Follow: a.Follow, Last: a.Last}, f)
	}),
	"events": many(func(ctx context.Context, b Backend, a eventArg, f func(node.EventInfo) error) error {
		return b.Events(ctx, a.Since, a.Follow, f)
	}),
}

// one makes a verb of a call with one answer.
func one[A, R any](call func(context.Context, Backend, A) (R, error)) verb {
	return func(ctx context.Context, b Backend, q *request, w *answer) error {
		var a A
		if err := q.decode(&a); err != nil {
			return err
		}
		r, err := call(ctx, b, a)
		if err != nil {
			return err
		}
		return w.line(r)
	}
}

// act makes a verb of a call that answers only with success.
func act[A any](call func(context.Context, Backend, A) error) verb {
	return one(func(ctx context.Context, b Backend, a A) (none, error) { return none{}, call(ctx, b, a) })
}

// many makes a verb of a call that answers with a stream.
func many[A, R any](call func(context.Context, Backend, A, func(R) error) error) verb {
	return func(ctx context.Context, b Backend, q *request, w *answer) error {
		var a A
		if err := q.decode(&a); err != nil {
			return err
		}
		if err := w.open(); err != nil {
			return err
		}
		return call(ctx, b, a, func(r R) error { return w.line(r) })
	}
}

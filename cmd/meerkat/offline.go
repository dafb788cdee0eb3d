package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// How long a home that another process has is waited for, and how often it is tried.
const lockPatience, lockPoll = 5 * time.Second, 50 * time.Millisecond

// openHome opens the home for this process alone; flags are settings by their keys.
func (a *app) openHome(flags map[string][]string) (*node.Home, error) {
	return node.OpenHome(node.HomeConfig{Dir: a.home, Flags: flags, Env: a.env, Fatal: a.lastWords})
}

// claimHome is openHome for a node that is to run. Another command may have the home for a moment; another node has it for
// good.
func (a *app) claimHome(ctx context.Context, flags map[string][]string) (*node.Home, error) {
	for until := time.Now().Add(lockPatience); ; {
		h, err := a.openHome(flags)
		if !isLocked(err) || time.Now().After(until) || control.NewClient(a.home).Running(ctx) {
			return h, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockPoll):
		}
	}
}

func isLocked(err error) bool {
	_, ok := errors.AsType[*node.HomeLockedError](err)
	return ok
}

// offline does on the home what can be done where no node runs. The rest goes
// to the socket of that home, where nobody answers: exit 3.
type offline struct {
	home *node.Home
	control.Backend
}

func newOffline(h *node.Home) offline { return offline{h, control.NewClient(h.Dir())} }

func (o offline) Identity(ctx context.Context) (node.IDInfo, error) { return o.home.Identity(ctx) }

func (o offline) Init(ctx context.Context, dir, name string) (node.PoolInfo, error) {
	return o.home.Init(ctx, dir, name)
}

// Invite gives a ticket without addresses: where nobody listens there are none.
func (o offline) Invite(ctx context.Context, r node.InviteRequest) (node.TicketInfo, error) {
	return o.home.Invite(ctx, r, nil)
}

// Join leaves the asking to the next node that runs here.
func (o offline) Join(_ context.Context, r node.JoinRequest) (node.PoolInfo, error) {
	j, err := o.home.NoteJoin(r)
	if err != nil {
		return node.PoolInfo{}, err
	}
	return j.Info(), nil
}

func (o offline) Peers(ctx context.Context, pool string) ([]node.Member, error) {
	return o.home.PeerList(ctx, pool)
}

func (o offline) Peer(ctx context.Context, pool, member string) (node.Member, error) {
	ms, err := o.home.PeerList(ctx, pool)
	if err != nil {
		return node.Member{}, err
	}
	return pickMember(ms, member)
}

func (o offline) PeerRemove(ctx context.Context, pool, member string) error {
	_, err := o.home.PeerRemove(ctx, pool, member)
	return err
}

func (o offline) PeerRename(ctx context.Context, pool, member, name string) error {
	_, err := o.home.PeerRename(ctx, pool, member, name)
	return err
}

func (o offline) PeerRole(ctx context.Context, pool, member, role string) error {
	_, err := o.home.PeerRole(ctx, pool, member, role)
	return err
}

// PeerAdd writes the address into the configuration.
func (o offline) PeerAdd(_ context.Context, addr string) error {
	peers := o.home.Settings().Peers
	if slices.Contains(peers, addr) {
		return &node.Error{Code: "already_there", Message: "that address is tried already", Exit: exitAlready}
	}
	return o.home.Set("network.peers", append(peers, addr))
}

func (o offline) Pools(ctx context.Context) ([]node.PoolInfo, error) { return o.home.PoolList(ctx) }

func (o offline) PoolLeave(ctx context.Context, pool string) error { return o.home.Leave(ctx, pool) }

// PoolMerge leaves the merging to the next node that runs here.
func (o offline) PoolMerge(ctx context.Context, ticket, pool string) (node.PoolInfo, error) {
	j, err := o.home.NoteMerge(ctx, ticket, pool)
	if err != nil {
		return node.PoolInfo{}, err
	}
	return j.Info(), nil
}

func (o offline) PoolRename(ctx context.Context, pool, name string) error {
	_, err := o.home.PoolRename(ctx, pool, name)
	return err
}

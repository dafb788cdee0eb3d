package node

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/pubsub"
)

// told makes a running pool act on a record that the home has just signed.
func (n *Node) told(p HomePool, err error) error {
	if err != nil {
		return err
	}
	if r := n.find(p.ID); r != nil {
		r.rosterChanged()
	}
	return nil
}

// Init makes a pool of a folder and starts it.
func (n *Node) Init(ctx context.Context, dir, name string) (PoolInfo, error) {
	info, err := n.home.Init(ctx, dir, name)
	if err != nil {
		return PoolInfo{}, err
	}
	for _, p := range n.home.Pools() {
		if p.ID.String() == info.ID {
			return info, n.start(p.ID, p.Path)
		}
	}
	return info, nil
}

// Invite makes a ticket that names up to four addresses of this node.
func (n *Node) Invite(ctx context.Context, req InviteRequest) (TicketInfo, error) {
	return n.home.Invite(ctx, req, n.hints())
}

// Requests lists the nodes that ask to be let in.
func (n *Node) Requests(context.Context) ([]RequestInfo, error) { return n.admit.Requests(), nil }

// Approve lets a node in that asked.
func (n *Node) Approve(ctx context.Context, name, member, role string) (Member, error) {
	r, err := n.pick(name)
	if err != nil {
		return Member{}, err
	}
	asked := n.admit.Requests()
	id, err := n.admit.Approve(ctx, r.id, member, role)
	if err != nil {
		return Member{}, err
	}
	r.rosterChanged()
	m, err := n.Peer(ctx, r.id.String(), id.String())
	for _, a := range asked {
		if a.ID == m.ID {
			m.Words = a.Words
		}
	}
	return m, err
}

// Deny refuses a node that asked.
func (n *Node) Deny(ctx context.Context, member string) error { return n.admit.Deny(ctx, member) }

// Peers lists a pool's members, this node included.
func (n *Node) Peers(_ context.Context, name string) ([]Member, error) {
	r, err := n.pick(name)
	if err != nil {
		return nil, err
	}
	out := r.members()
	for i := range out {
		out[i].Schema = SchemaMember
	}
	return out, nil
}

// Peer shows one member.
func (n *Node) Peer(ctx context.Context, name, member string) (Member, error) {
	r, err := n.pick(name)
	if err != nil {
		return Member{}, err
	}
	m, err := PickMember(r.st.Roster(), member)
	if err != nil {
		return Member{}, err
	}
	out := r.member(m, r.st.Heads())
	out.Schema = SchemaMember
	return out, nil
}

// PeerRemove takes a member out of the pool; everybody who learns of it shuts
// it out at once.
func (n *Node) PeerRemove(ctx context.Context, name, member string) error {
	return n.told(n.home.PeerRemove(ctx, name, member))
}

// PeerRename gives a member another name in the pool.
func (n *Node) PeerRename(ctx context.Context, name, member, to string) error {
	return n.told(n.home.PeerRename(ctx, name, member, to))
}

// PeerRole gives a member another role.
func (n *Node) PeerRole(ctx context.Context, name, member, role string) error {
	return n.told(n.home.PeerRole(ctx, name, member, role))
}

// PeerAdd remembers an address that is always tried, now and after a restart.
func (n *Node) PeerAdd(_ context.Context, addr string) error {
	fixed, err := parseAddrs([]string{addr})
	if err != nil {
		return err
	}
	if have := n.home.Settings().Peers; !slices.Contains(have, addr) {
		if err := n.home.Set("network.peers", append(slices.Clone(have), addr)); err != nil {
			return err
		}
	}
	n.links.fix(fixed[0])
	return nil
}

// Pools lists this node's pools.
func (n *Node) Pools(ctx context.Context) ([]PoolInfo, error) { return n.home.PoolList(ctx) }

// PoolLeave tells the members, forgets the pool here, and leaves its files.
func (n *Node) PoolLeave(ctx context.Context, name string) error {
	p, err := n.home.SignLeave(ctx, name)
	if err != nil {
		return err
	}
	told := false
	if r := n.find(p.ID); r != nil {
		told = n.tellAll(ctx, r)
	}
	n.leave(p.ID)
	n.unretire(p.ID)
	n.regain.drop(p.ID)
	err = n.home.Forget(p, told)
	n.heirs.poke.poke()
	return err
}

// tellAll repairs with every member online, so that they learn of what was
// just signed before this node is gone. It reports whether one did.
func (n *Node) tellAll(ctx context.Context, r *replica) bool {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	var told atomic.Bool
	_ = inParallel(ctx, maxDials, r.onlineMembers(), func(ctx context.Context, p peer.ID) error {
		err := n.feed.Repair(ctx, r.id, p)
		if err == nil || errors.Is(err, pubsub.ErrRemoved) {
			told.Store(true)
		} else {
			n.log.Debug("farewell", "peer", p, "err", err)
		}
		return nil // whoever was not reached learns it from the others
	})
	return told.Load()
}

// PoolRename gives a pool another name for all members.
func (n *Node) PoolRename(ctx context.Context, name, to string) error {
	return n.told(n.home.PoolRename(ctx, name, to))
}

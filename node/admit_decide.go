package node

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/node/internal/pb"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
)

const approvedPrefix = "approved/"

func refuse(code string) *pb.Answer { return &pb.Answer{Verdict: pb.Answer_REFUSED, Code: code} }

// admitted is the whole roster for its new member.
func admitted(ro *pool.Roster) *pb.Answer {
	m := &pb.Answer{Verdict: pb.Answer_ADMITTED}
	for _, rec := range ro.Records() {
		m.Records = append(m.Records, rec.Raw)
	}
	return m
}

// answer decides about one request. Everything that a node could say without
// being invited gets the same answer, unknown_pool.
func (a *Admission) answer(c network.Conn, ask *pb.Ask) *pb.Answer {
	p := c.RemotePeer()
	switch {
	case !a.allow(p, time.Now()):
		return refuse("busy")
	case len(ask.Claim) > 0:
		return a.byTicket(p, ask)
	case len(ask.Pool) > 0:
		return a.again(p, ask.Pool)
	}
	return a.byHand(c, ask)
}

// byTicket admits p, and in a merge its pool's members, if its ticket is good.
func (a *Admission) byTicket(p peer.ID, ask *pb.Ask) *pb.Answer {
	claim, err := pool.ParseClaim(ask.Claim)
	if err != nil || claim.Node != p {
		return refuse("unknown_pool")
	}
	a.honour.Lock()
	defer a.honour.Unlock()
	st := a.find(claim.Pool)
	if st == nil || !invited(st.Roster(), claim) {
		return refuse("unknown_pool")
	}
	party, err := partyOf(claim, ask)
	if err != nil {
		return refuse(refusalCode(err))
	}
	if code := a.shut(st.Roster(), ask); code != "" {
		return refuse(code)
	}
	recs, err := a.honourAll(st.Roster(), party)
	if err != nil {
		a.conf.Log.Info("ticket refused", "peer", p, "pool", st.Roster().Name(), "err", err)
		return refuse(refusalCode(err))
	}
	return a.admit(st, p, recs...)
}

// invited reports whether somebody who is or was of the pool signed the claim.
func invited(ro *pool.Roster, c pool.Claim) bool {
	_, is := ro.Member(c.Issuer)
	_, was := ro.Removed(c.Issuer)
	return is || was
}

// admit stores records and answers p with the roster that they are part of.
func (a *Admission) admit(st *store.Pool, p peer.ID, recs ...pool.Record) *pb.Answer {
	if len(recs) > 0 {
		if _, err := st.AddRecords(recs); err != nil {
			a.conf.Log.Error("admit", "peer", p, "err", err)
			return refuse("failed")
		}
	}
	ro := st.Roster()
	if _, ok := ro.Member(p); !ok {
		return refuse("failed")
	}
	for _, rec := range recs {
		a.conf.Log.Info("admitted", "peer", rec.Node, "name", rec.Name, "pool", ro.Name(), "role", rec.Role)
		a.settled(rec.Node)
	}
	if len(recs) > 0 {
		a.conf.Changed(ro.ID())
	}
	return admitted(ro)
}

// refusalCode is what a holder of a genuine ticket is told.
func refusalCode(err error) string {
	switch {
	case errors.Is(err, pool.ErrRole), errors.Is(err, pool.ErrNotMember):
		return "not_admin" // this node's own right, not the joiner's
	case errors.Is(err, pool.ErrFull):
		return "failed"
	}
	for _, c := range poolCodes {
		if errors.Is(err, c.err) && refusals[c.code] != "" {
			return c.code
		}
	}
	return "failed"
}

// again gives a member its roster once more. Who never was one is told what
// everybody is told.
func (a *Admission) again(p peer.ID, id []byte) *pb.Answer {
	if len(id) != len(event.PoolID{}) {
		return refuse("unknown_pool")
	}
	st := a.find(event.PoolID(id))
	if st == nil {
		return refuse("unknown_pool")
	}
	ro := st.Roster()
	if _, ok := ro.Member(p); ok {
		return admitted(ro)
	}
	if _, ok := ro.Removed(p); ok {
		m := refuse("removed")
		m.Records = wayOut(ro, p)
		return m
	}
	return refuse("unknown_pool")
}

// byHand notes the request for a person, or gives what a person has decided.
func (a *Admission) byHand(c network.Conn, ask *pb.Ask) *pb.Answer {
	p := c.RemotePeer()
	if pool.CheckName(ask.Name) != nil {
		return refuse("bad_name")
	}
	if st := a.approved(p); st != nil {
		return admitted(st.Roster())
	}
	news, r, verdict := a.desk.ask(p, a.self, c.RemoteMultiaddr().String(), ask, time.Now())
	if news != deskOld {
		a.keep(requestPrefix, p, r)
	}
	if news == deskFresh {
		a.conf.Log.Info("asks to join", "peer", p, "name", ask.Name)
		a.conf.Asked()
	}
	switch verdict {
	case deskDenied:
		return refuse("denied")
	case deskFull:
		return refuse("busy")
	}
	return &pb.Answer{Verdict: pb.Answer_PENDING, Nonce: r.Nonce}
}

// approved is the pool that a person let p into, while p is a member of it.
func (a *Admission) approved(p peer.ID) *store.Pool {
	b, ok, err := a.conf.Facts.Get(approvedPrefix + p.String())
	if err != nil || !ok || len(b) != len(event.PoolID{}) {
		return nil
	}
	st := a.find(event.PoolID(b))
	if st == nil {
		return nil
	}
	if _, ok := st.Roster().Member(p); !ok {
		return nil
	}
	return st
}

func (a *Admission) find(id event.PoolID) *store.Pool {
	for _, st := range a.conf.Pools() {
		if ro := st.Roster(); ro != nil && ro.ID() == id {
			return st
		}
	}
	return nil
}

// Approve lets a node that asks into a pool; it has its answer when it asks
// again. The node is named by its name, full id or a unique prefix of it; role
// "" is writer. Errors are *Error.
func (a *Admission) Approve(_ context.Context, id event.PoolID, node, role string) (peer.ID, error) {
	if role == "" {
		role = pool.Writer.String()
	}
	r, err := pool.ParseRole(role)
	if err != nil {
		return "", trouble("bad_role", nil, "there is no role %q", role)
	}
	p, name, err := a.desk.find(node)
	if err != nil {
		return "", err
	}
	st := a.find(id)
	if st == nil {
		return "", trouble("no_pool", nil, "this node has no pool %s", id)
	}
	if err := a.letIn(st, p, name, r); err != nil {
		return "", err
	}
	if err := a.conf.Facts.Set(approvedPrefix+p.String(), id[:]); err != nil {
		return "", trouble("failed", err, "the approval could not be stored")
	}
	a.settled(p)
	a.conf.Asked()
	return p, nil
}

// letIn makes p a member by hand, unless it is one.
func (a *Admission) letIn(st *store.Pool, p peer.ID, name string, role pool.Role) error {
	a.honour.Lock()
	defer a.honour.Unlock()
	if _, ok := st.Roster().Member(p); ok {
		return nil
	}
	if into, merged := st.Roster().Merged(); merged {
		return trouble("merged", nil, "the pool was merged into %q", into.Name)
	}
	rec, err := st.Roster().Admit(a.conf.Key, p, name, role, a.conf.Clock.Now())
	if err != nil {
		return poolTrouble(err)
	}
	if m := a.admit(st, p, rec); m.Verdict != pb.Answer_ADMITTED {
		return trouble("failed", nil, "the admission could not be stored")
	}
	return nil
}

// Deny refuses a node that asks, for a day; it is named as in Approve. Errors
// are *Error.
func (a *Admission) Deny(_ context.Context, node string) error {
	p, _, err := a.desk.find(node)
	if err != nil {
		return err
	}
	now := time.Now()
	a.desk.deny(p, now)
	a.keep(requestPrefix, p, nil)
	a.keep(deniedPrefix, p, now.UTC())
	a.conf.Asked()
	return nil
}

// Requests lists the nodes that ask to be let in and wait for a person, the
// oldest first.
func (a *Admission) Requests() []RequestInfo { return a.desk.list(time.Now()) }

package pool_test

import (
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

func TestRemovedAdminsUnseenActsDoNotCount(t *testing.T) {
	w := newWorld(t)
	admin, friend := w.member(pool.Admin), newNode(t)
	act := w.got(w.ro.Admit(admin.key, friend.id, "friend", pool.Admin, w.tick()))
	chain := w.got(w.on(w.ro, act).Admit(friend.key, newNode(t).id, "next", pool.Admin, w.tick()))
	gone := w.got(w.ro.Remove(w.founder.key, admin.id, nil, w.tick()))
	ro := w.on(w.ro, act, chain, gone)
	if got := len(ro.Members()); got != 1 {
		t.Errorf("%d members, want the founder alone: %+v", got, ro.Members())
	}
	if !ro.Has(act.Hash) || ro.Holds(act.Hash) || ro.Holds(chain.Hash) || !ro.Holds(gone.Hash) {
		t.Error("the admission must be kept, without effect")
	}
	seen := w.on(w.ro, act)
	ro = w.on(seen, w.got(seen.Remove(w.founder.key, admin.id, nil, w.tick())))
	wantRole(t, ro, friend.id, pool.Admin)
}

func TestMutualRemovalFavoursTheElder(t *testing.T) {
	w := newWorld(t)
	a := w.member(pool.Admin)
	b := w.member(pool.Admin)
	early := w.tick()
	ab := w.got(w.ro.Remove(a.key, b.id, nil, w.tick()))
	ba := w.got(w.ro.Remove(b.key, a.id, nil, early)) // a clock that runs behind gains nothing
	ro := w.on(w.ro, ba, ab)
	wantRole(t, ro, a.id, pool.Admin)
	wantRole(t, ro, b.id, 0)
}

func TestRingOfRemovals(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.member(pool.Admin), w.member(pool.Admin), w.member(pool.Admin)
	ab := w.got(w.ro.Remove(a.key, b.id, nil, w.tick()))
	bc := w.got(w.ro.Remove(b.key, c.id, nil, w.tick()))
	ca := w.got(w.ro.Remove(c.key, a.id, nil, w.tick()))
	n := newNode(t)
	by := w.got(w.ro.Admit(c.key, n.id, "by c", pool.Reader, w.tick()))
	ro := w.on(w.ro, ca, bc, ab, by)
	// The eldest, a, goes first: b falls, with it b's removal of c, and so c's of a stands.
	wantRole(t, ro, a.id, 0)
	wantRole(t, ro, b.id, 0)
	wantRole(t, ro, c.id, pool.Admin)
	wantRole(t, ro, n.id, pool.Reader)
}

func TestRemovalBeatsConcurrentRoleAndAdmission(t *testing.T) {
	w := newWorld(t)
	n := w.member(pool.Writer)
	gone := w.got(w.ro.Remove(w.founder.key, n.id, nil, w.tick()))
	raised := w.got(w.ro.SetRole(w.founder.key, n.id, pool.Admin, nil, w.tick()))
	wantRole(t, w.on(w.ro, gone, raised), n.id, 0)

	x := newNode(t)
	one := w.got(w.ro.Admit(w.founder.key, x.id, "x", pool.Writer, w.tick()))
	two := w.got(w.ro.Admit(w.founder.key, x.id, "x", pool.Reader, w.tick()))
	wantRole(t, w.on(w.ro, one, two), x.id, pool.Reader)
	out := w.got(w.on(w.ro, one).Remove(w.founder.key, x.id, nil, w.tick()))
	wantRole(t, w.on(w.ro, one, two, out), x.id, 0)
}

func TestConcurrentRemovalsTakeTheLowerCut(t *testing.T) {
	w := newWorld(t)
	admin, n := w.member(pool.Admin), w.member(pool.Writer)
	p, q := event.Writer{Node: n.id, Epoch: 1}, event.Writer{Node: n.id, Epoch: 2}
	one := w.got(w.ro.Remove(w.founder.key, n.id, event.Vector{p: 9, q: 4}, w.tick()))
	two := w.got(w.ro.Remove(admin.key, n.id, event.Vector{p: 5}, w.tick()))
	ro := w.on(w.ro, one, two)
	for seq, ok := range map[uint64]bool{5: true, 6: false} {
		if err := ro.MayWrite(p, seq); (err == nil) != ok {
			t.Errorf("event %d: %v", seq, err)
		}
	}
	if ro.MayWrite(q, 1) == nil {
		t.Error("a writer that only one cut names counts")
	}
}

func TestTicketUsedAtTwoKeepersAtOnce(t *testing.T) {
	w := newWorld(t)
	k1, k2 := w.member(pool.Keeper), w.member(pool.Keeper)
	tk, a, b := w.invite(pool.Writer, 1), newNode(t), newNode(t)
	ra, rb := w.got(w.honour(k1, a, tk)), w.got(w.honour(k2, b, tk))
	ro := w.on(w.ro, rb, ra)
	wantRole(t, ro, a.id, pool.Writer)
	wantRole(t, ro, b.id, 0)
	same := w.got(w.honour(k2, a, tk))
	wantRole(t, w.on(w.ro, same, ra), a.id, pool.Writer)
}

func TestRevocationBeatsConcurrentUse(t *testing.T) {
	w := newWorld(t)
	k, n := w.member(pool.Keeper), newNode(t)
	tk := w.invite(pool.Writer, 1)
	used := w.got(w.honour(k, n, tk))
	revoked := w.got(w.ro.Revoke(w.founder.key, tk.ID(), w.tick()))
	wantRole(t, w.on(w.ro, used, revoked), n.id, 0)
	seen := w.on(w.ro, used)
	wantRole(t, w.on(seen, w.got(seen.Revoke(w.founder.key, tk.ID(), w.tick()))), n.id, pool.Writer)
}

func TestTicketOfAConcurrentlyRemovedAdmin(t *testing.T) {
	w := newWorld(t)
	admin, k, n := w.member(pool.Admin), w.member(pool.Keeper), newNode(t)
	tk := w.invite(pool.Admin, 1)
	used := w.got(w.honour(k, n, tk))
	gone := w.got(w.ro.Remove(admin.key, w.founder.id, nil, w.tick()))
	wantRole(t, w.on(w.ro, used, gone), n.id, 0)
}

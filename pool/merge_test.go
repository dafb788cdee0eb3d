package pool_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

func next(b byte) pool.Successor {
	return pool.Successor{ID: event.PoolID{b}, Name: "next", Addrs: []string{"/ip4/192.0.2.1/tcp/7716"}}
}

func TestMergeIsAnAdminsWord(t *testing.T) {
	w := newWorld(t)
	for _, role := range []pool.Role{pool.Reader, pool.Keeper, pool.Writer} {
		n := w.member(role)
		if _, err := w.ro.Merge(n.key, next(1), w.tick()); !errors.Is(err, pool.ErrRole) {
			t.Errorf("Merge by a %s: %v, want ErrRole", role, err)
		}
	}
	if _, ok := w.ro.Merged(); ok {
		t.Error("a pool that nobody merged is merged")
	}
	w.ro = w.on(w.ro, w.got(w.ro.Merge(w.founder.key, next(1), w.tick())))
	got, ok := w.ro.Merged()
	if !ok || got.ID != next(1).ID || got.Name != "next" || len(got.Addrs) != 1 || got.Addrs[0] != next(1).Addrs[0] {
		t.Errorf("Merged() = %+v, %v", got, ok)
	}
}

func TestMergeIntoItselfIsRefused(t *testing.T) {
	w := newWorld(t)
	if _, err := w.ro.Merge(w.founder.key, pool.Successor{ID: w.ro.ID(), Name: "self"}, w.tick()); err == nil {
		t.Error("a pool was merged into itself")
	}
}

func TestFirstOfTwoMergesCounts(t *testing.T) {
	w := newWorld(t)
	admin := w.member(pool.Admin)
	one := w.got(w.ro.Merge(w.founder.key, next(1), w.tick()))
	two := w.got(w.ro.Merge(admin.key, next(2), w.tick()))
	for _, ro := range []*pool.Roster{w.on(w.ro, one, two), w.on(w.on(w.ro, two), one)} {
		if got, _ := ro.Merged(); got.ID != next(1).ID {
			t.Errorf("merged into %s, want the earlier of two that did not know each other", got.ID)
		}
	}
}

func TestMergeFallsWithItsAuthor(t *testing.T) {
	w := newWorld(t)
	admin := w.member(pool.Admin)
	rec := w.got(w.ro.Merge(admin.key, next(1), w.tick()))
	gone := w.got(w.ro.Remove(w.founder.key, admin.id, event.Vector{}, w.tick()))
	if into, ok := w.on(w.ro, rec, gone).Merged(); ok {
		t.Errorf("merged into %s by an admin who was removed meanwhile", into.ID)
	}
}

// Who was a reader before does not come in as a writer by a writer's ticket.
func TestHonourKeepsTheLowerRole(t *testing.T) {
	for _, c := range []struct{ ticket, most, want pool.Role }{
		{pool.Writer, 0, pool.Writer},
		{pool.Writer, pool.Reader, pool.Reader},
		{pool.Writer, pool.Admin, pool.Writer},
		{pool.Writer, pool.Keeper, pool.Reader},
		{pool.Admin, pool.Keeper, pool.Keeper},
		{pool.Admin, pool.Writer, pool.Writer},
		{pool.Reader, pool.Admin, pool.Reader},
	} {
		w := newWorld(t)
		n := newNode(t)
		claim := w.invite(c.ticket, 1).Claim(n.id)
		rec := w.got(w.ro.Honour(w.founder.key, pool.Guest{Claim: claim, Name: "n", Most: c.most}, epoch0.Add(time.Minute), w.tick()))
		wantRole(t, w.on(w.ro, rec), n.id, c.want)
	}
}

// One use of a ticket lets a node in, and the pool that it brings along.
func TestOneUseBringsAPool(t *testing.T) {
	w := newWorld(t)
	tk := w.invite(pool.Writer, 1)
	a, b, c, d := newNode(t), newNode(t), newNode(t), newNode(t)
	enter := func(n node, via node) error {
		rec, err := w.ro.Honour(w.founder.key, pool.Guest{Claim: tk.Claim(n.id), Name: "n", Via: via.id}, epoch0.Add(time.Minute), w.tick())
		if err == nil {
			w.ro = w.on(w.ro, rec)
		}
		return err
	}
	for _, n := range []struct{ who, via node }{{a, node{}}, {b, a}, {c, a}} {
		if err := enter(n.who, n.via); err != nil {
			t.Fatal(err)
		}
	}
	if err := enter(d, node{}); !errors.Is(err, pool.ErrTicketUsed) {
		t.Errorf("another node by the same ticket: %v, want ErrTicketUsed", err)
	}
	if err := enter(d, d); !errors.Is(err, pool.ErrTicketUsed) {
		t.Errorf("another node that says it brings itself: %v, want ErrTicketUsed", err)
	}
	w.ro = w.on(w.ro, w.got(w.ro.Remove(w.founder.key, b.id, event.Vector{}, w.tick())))
	if err := enter(b, a); !errors.Is(err, pool.ErrTicketUsed) {
		t.Errorf("one that was removed, again: %v, want ErrTicketUsed", err)
	}
}

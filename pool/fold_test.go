package pool_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

// TestRosterDoesNotDependOnOrder lets some nodes act on rosters of different
// age, and folds what they said in several orders, at once and piece by piece.
func TestRosterDoesNotDependOnOrder(t *testing.T) {
	cast := make([]node, 5)
	for i := range cast {
		cast[i] = newNode(t)
	}
	rapid.Check(t, func(rt *rapid.T) {
		recs := drawHistory(rt, cast)
		want, err := pool.NewRoster(recs)
		if err != nil {
			rt.Fatal(err)
		}
		checkFold(rt, want)
		shuffled := rapid.Permutation(recs).Draw(rt, "order")
		got, err := pool.NewRoster(shuffled)
		if err != nil {
			rt.Fatal(err)
		}
		sameRoster(rt, got, want, cast)
		sameRoster(rt, piecewise(rt, want, shuffled), want, cast)
	})
}

// drawHistory is what five nodes say, each time on top of some earlier roster:
// an act on an old one is how a removed admin would try to act unseen.
func drawHistory(rt *rapid.T, cast []node) []pool.Record {
	now := event.HLCOf(epoch0)
	first, err := pool.Found(cast[0].key, "p", "n0", now)
	if err != nil {
		rt.Fatal(err)
	}
	base, err := pool.NewRoster([]pool.Record{first})
	if err != nil {
		rt.Fatal(err)
	}
	past, recs := []*pool.Roster{base}, []pool.Record{first}
	var tickets []pool.Ticket
	for range rapid.IntRange(1, 14).Draw(rt, "steps") {
		ro := rapid.SampledFrom(past).Draw(rt, "roster")
		if other := rapid.SampledFrom(past).Draw(rt, "merged"); other != ro {
			if ro, err = ro.With(other.Records()...); err != nil {
				rt.Fatal(err)
			}
		}
		now += event.HLC(rapid.IntRange(-3, 3).Draw(rt, "clock")) << 16
		rec, ok := drawAct(rt, ro, cast, &tickets, now)
		if !ok {
			continue
		}
		next, err := ro.With(rec)
		if err != nil || !next.Holds(rec.Hash) {
			rt.Fatalf("own act %s does not hold: %v", rec.Act, err)
		}
		past, recs = append(past, next), append(recs, rec)
	}
	return recs
}

func drawAct(rt *rapid.T, ro *pool.Roster, cast []node, tickets *[]pool.Ticket, now event.HLC) (pool.Record, bool) {
	by := rapid.SampledFrom(cast).Draw(rt, "by")
	who := rapid.SampledFrom(cast).Draw(rt, "who")
	role := rapid.SampledFrom([]pool.Role{pool.Reader, pool.Keeper, pool.Writer, pool.Admin, pool.Admin}).Draw(rt, "role")
	cut := event.Vector{{Node: who.id, Epoch: 1}: rapid.Uint64Range(1, 9).Draw(rt, "cut")}
	var rec pool.Record
	var err error
	switch rapid.IntRange(0, 7).Draw(rt, "act") {
	case 0, 1:
		rec, err = ro.Admit(by.key, who.id, "x", role, now)
	case 2:
		rec, err = ro.Remove(by.key, who.id, cut, now)
	case 3:
		rec, err = ro.SetRole(by.key, who.id, role, cut, now)
	case 4:
		rec, err = ro.Rename(by.key, who.id, fmt.Sprint("name ", now), now)
	case 5:
		if tk, err := ro.Invite(by.key, role, epoch0.Add(time.Hour), 1, nil, epoch0); err == nil {
			*tickets = append(*tickets, tk)
		}
		return rec, false
	case 7:
		rec, err = ro.Merge(by.key, pool.Successor{ID: event.PoolID{byte(now >> 16)}, Name: "next"}, now)
	case 6:
		if len(*tickets) == 0 {
			return rec, false
		}
		tk := rapid.SampledFrom(*tickets).Draw(rt, "ticket")
		if rapid.IntRange(0, 3).Draw(rt, "revoke") == 0 {
			rec, err = ro.Revoke(by.key, tk.ID(), now)
		} else {
			g := pool.Guest{Claim: tk.Claim(who.id), Name: "x", Most: role}
			if rapid.Bool().Draw(rt, "brought") {
				g.Via = by.id
			}
			rec, err = ro.Honour(by.key, g, epoch0, now)
		}
	}
	return rec, err == nil
}

// checkFold holds a roster against what must be true of every one.
func checkFold(rt *rapid.T, ro *pool.Roster) {
	users := map[pool.TicketID]map[string]bool{}
	for _, rec := range ro.Records() {
		if !ro.Holds(rec.Hash) || rec.Claim == nil {
			continue
		}
		id := rec.Claim.Ticket
		if users[id] == nil {
			users[id] = map[string]bool{}
		}
		user := rec.Node
		if rec.Via != "" {
			user = rec.Via
		}
		users[id][string(user)] = true
		if len(users[id]) > rec.Claim.Uses {
			rt.Errorf("ticket %s admitted %d nodes, its terms allow %d", id, len(users[id]), rec.Claim.Uses)
		}
	}
	if len(ro.Rejected()) != 0 || len(ro.Pending()) != 0 {
		rt.Errorf("honest acts rejected: %v, pending: %d", ro.Rejected(), len(ro.Pending()))
	}
}

// piecewise adds the records a few at a time, in the order given.
func piecewise(rt *rapid.T, want *pool.Roster, order []pool.Record) *pool.Roster {
	ro, err := pool.NewRoster(want.Records()[:1])
	for len(order) > 0 && err == nil {
		n := rapid.IntRange(1, len(order)).Draw(rt, "piece")
		ro, err = ro.With(order[:n]...)
		order = order[n:]
	}
	if err != nil {
		rt.Fatal(err)
	}
	return ro
}

func sameRoster(rt *rapid.T, got, want *pool.Roster, cast []node) {
	if got.Digest() != want.Digest() || got.Name() != want.Name() {
		rt.Fatalf("digest %s, want %s", got.Digest(), want.Digest())
	}
	if d := cmp.Diff(want.Members(), got.Members(), cmpopts.EquateComparable()); d != "" {
		rt.Fatalf("members differ by order (-want +got):\n%s", d)
	}
	a, aOK := got.Merged()
	b, bOK := want.Merged()
	if a.ID != b.ID || aOK != bOK {
		rt.Fatalf("merged into %v, want %v", a, b)
	}
	for _, n := range cast {
		for _, epoch := range []uint64{1, uint64(event.HLCOf(epoch0)) + 5<<16} {
			for seq := range uint64(10) {
				w := event.Writer{Node: n.id, Epoch: epoch}
				if a, b := got.MayWrite(w, seq), want.MayWrite(w, seq); (a == nil) != (b == nil) {
					rt.Fatalf("MayWrite(%s, %d) = %v, want %v", w, seq, a, b)
				}
			}
		}
	}
}

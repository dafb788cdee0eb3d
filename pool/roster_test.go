package pool_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

// epoch0 is when the stories below begin.
var epoch0 = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// node is somebody with a key.
type node struct {
	key crypto.PrivKey
	id  peer.ID
}

func newNode(t testing.TB) node {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return node{key, id}
}

// world is a pool under test, with a clock that only goes forward.
type world struct {
	t       testing.TB
	now     event.HLC
	founder node
	ro      *pool.Roster
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: event.HLCOf(epoch0), founder: newNode(t)}
	rec, err := pool.Found(w.founder.key, "home", "laptop", w.tick())
	if err != nil {
		t.Fatal(err)
	}
	w.ro, err = pool.NewRoster([]pool.Record{rec})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) tick() event.HLC {
	w.now += 1 << 16
	return w.now
}

// got unwraps what an authoring call returned.
func (w *world) got(rec pool.Record, err error) pool.Record {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// on is ro with recs.
func (w *world) on(ro *pool.Roster, recs ...pool.Record) *pool.Roster {
	w.t.Helper()
	out, err := ro.With(recs...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// member admits a fresh node by hand.
func (w *world) member(role pool.Role) node {
	w.t.Helper()
	n := newNode(w.t)
	w.ro = w.on(w.ro, w.got(w.ro.Admit(w.founder.key, n.id, role.String(), role, w.tick())))
	return n
}

func wantRole(t testing.TB, ro *pool.Roster, id peer.ID, want pool.Role) {
	t.Helper()
	m, _ := ro.Member(id)
	if m.Role != want {
		t.Errorf("role of %s = %v, want %v", id, m.Role, want)
	}
}

func TestFounderIsTheFirstAdmin(t *testing.T) {
	w := newWorld(t)
	m, ok := w.ro.Member(w.founder.id)
	if !ok || m.Role != pool.Admin || m.Name != "laptop" {
		t.Errorf("founder = %+v, %v", m, ok)
	}
	if w.ro.Name() != "home" || w.ro.Secret() == [32]byte{} {
		t.Errorf("name %q, secret %x", w.ro.Name(), w.ro.Secret())
	}
	if got, want := w.ro.ID(), event.PoolID(w.ro.Records()[0].Hash); got != want {
		t.Errorf("pool id %s, want the hash of the genesis %s", got, want)
	}
}

func TestRightsOfRoles(t *testing.T) {
	w := newWorld(t)
	other := w.member(pool.Reader)
	type try func(n node) error
	acts := map[string]try{
		"admit": func(n node) error {
			_, err := w.ro.Admit(n.key, newNode(t).id, "new", pool.Reader, w.tick())
			return err
		},
		"remove": func(n node) error { _, err := w.ro.Remove(n.key, other.id, nil, w.tick()); return err },
		"role": func(n node) error {
			_, err := w.ro.SetRole(n.key, other.id, pool.Admin, nil, w.tick())
			return err
		},
		"rename pool":  func(n node) error { _, err := w.ro.Rename(n.key, "", "house", w.tick()); return err },
		"rename other": func(n node) error { _, err := w.ro.Rename(n.key, other.id, "x", w.tick()); return err },
		"revoke":       func(n node) error { _, err := w.ro.Revoke(n.key, pool.TicketID{1}, w.tick()); return err },
		"invite": func(n node) error {
			_, err := w.ro.Invite(n.key, pool.Writer, epoch0.Add(time.Hour), 1, nil, epoch0)
			return err
		},
	}
	for _, role := range []pool.Role{pool.Reader, pool.Keeper, pool.Writer, pool.Admin} {
		n := w.member(role)
		for name, act := range acts {
			var want error
			if role != pool.Admin {
				want = pool.ErrRole
			}
			if err := act(n); !errors.Is(err, want) {
				t.Errorf("%s by a %s: %v, want %v", name, role, err, want)
			}
		}
		if _, err := w.ro.Rename(n.key, n.id, "mine", w.tick()); err != nil {
			t.Errorf("a %s renames itself: %v", role, err)
		}
		if _, err := w.ro.Remove(n.key, n.id, nil, w.tick()); err != nil {
			t.Errorf("a %s leaves: %v", role, err)
		}
	}
	for name, act := range acts {
		if err := act(newNode(t)); !errors.Is(err, pool.ErrNotMember) {
			t.Errorf("%s by a stranger: %v, want %v", name, err, pool.ErrNotMember)
		}
	}
}

func TestActsOnNobody(t *testing.T) {
	w := newWorld(t)
	who := newNode(t)
	if _, err := w.ro.Remove(w.founder.key, who.id, nil, w.tick()); !errors.Is(err, pool.ErrNotMember) {
		t.Errorf("remove a stranger: %v", err)
	}
	if _, err := w.ro.SetRole(w.founder.key, who.id, pool.Reader, nil, w.tick()); !errors.Is(err, pool.ErrNotMember) {
		t.Errorf("role of a stranger: %v", err)
	}
	if _, err := w.ro.Admit(w.founder.key, w.founder.id, "again", pool.Reader, w.tick()); !errors.Is(err, pool.ErrAlreadyMember) {
		t.Errorf("admit a member: %v", err)
	}
	if _, err := w.ro.Admit(w.founder.key, who.id, "x", 0, w.tick()); !errors.Is(err, pool.ErrRecord) {
		t.Errorf("admit without a role: %v", err)
	}
}

func TestLastAdminStays(t *testing.T) {
	w := newWorld(t)
	w.member(pool.Writer)
	if _, err := w.ro.Remove(w.founder.key, w.founder.id, nil, w.tick()); !errors.Is(err, pool.ErrLastAdmin) {
		t.Errorf("last admin leaves: %v", err)
	}
	if _, err := w.ro.SetRole(w.founder.key, w.founder.id, pool.Writer, nil, w.tick()); !errors.Is(err, pool.ErrLastAdmin) {
		t.Errorf("last admin steps down: %v", err)
	}
	w.member(pool.Admin)
	if _, err := w.ro.Remove(w.founder.key, w.founder.id, nil, w.tick()); err != nil {
		t.Errorf("one of two admins leaves: %v", err)
	}
}

func TestRenames(t *testing.T) {
	w := newWorld(t)
	n := w.member(pool.Reader)
	w.ro = w.on(w.ro, w.got(w.ro.Rename(w.founder.key, "", "house", w.tick())))
	w.ro = w.on(w.ro, w.got(w.ro.Rename(n.key, n.id, "phone", w.tick())))
	if m, _ := w.ro.Member(n.id); m.Name != "phone" || w.ro.Name() != "house" {
		t.Errorf("names %q, %q, want phone, house", m.Name, w.ro.Name())
	}
}

func TestRemovedMembersCutHolds(t *testing.T) {
	w := newWorld(t)
	n := w.member(pool.Writer)
	old := event.Writer{Node: n.id, Epoch: uint64(w.tick())}
	if err := w.ro.MayWrite(old, 1<<40); err != nil {
		t.Errorf("a writer writes: %v", err)
	}
	cut := event.Vector{old: 7, {Node: w.founder.id, Epoch: 1}: 9}
	w.ro = w.on(w.ro, w.got(w.ro.Remove(w.founder.key, n.id, cut, w.tick())))
	for seq, want := range map[uint64]error{1: nil, 7: nil, 8: pool.ErrRemoved} {
		if err := w.ro.MayWrite(old, seq); !errors.Is(err, want) {
			t.Errorf("event %d of a removed member: %v, want %v", seq, err, want)
		}
	}
	unseen := event.Writer{Node: n.id, Epoch: old.Epoch + 1}
	if err := w.ro.MayWrite(unseen, 1); !errors.Is(err, pool.ErrRemoved) {
		t.Errorf("writer that the cut does not name: %v", err)
	}
	if _, ok := w.ro.Member(n.id); ok {
		t.Error("still a member")
	}
	if m, ok := w.ro.Removed(n.id); !ok || m.Name != "writer" {
		t.Errorf("Removed = %+v, %v", m, ok)
	}
}

// TestWhoSignsManyLogsCanBeRemoved: a record names 1,024 logs and no more. Of a
// member that has signed more, what it wrote in earnest counts on.
func TestWhoSignsManyLogsCanBeRemoved(t *testing.T) {
	w := newWorld(t)
	liar := w.member(pool.Writer)
	cut := event.Vector{}
	for epoch := range uint64(3 * event.MaxVector) {
		cut[event.Writer{Node: liar.id, Epoch: epoch}] = 1
	}
	earnest := event.Writer{Node: liar.id, Epoch: event.MaxVector}
	cut[earnest] = 500
	w.ro = w.on(w.ro, w.got(w.ro.Remove(w.founder.key, liar.id, cut, w.tick())))
	if _, ok := w.ro.Member(liar.id); ok {
		t.Error("still a member")
	}
	if err := w.ro.MayWrite(earnest, 500); err != nil {
		t.Errorf("the longest log does not count: %v", err)
	}
	counts := 0
	for writer, seq := range cut {
		if w.ro.MayWrite(writer, seq) == nil {
			counts++
		}
	}
	if counts != event.MaxVector {
		t.Errorf("%d logs count, want %d", counts, event.MaxVector)
	}
}

func TestBackAfterRemovalInANewEpoch(t *testing.T) {
	w := newWorld(t)
	n := w.member(pool.Writer)
	fast := event.Writer{Node: n.id, Epoch: uint64(w.now + 1<<40)} // its clock was far ahead
	w.ro = w.on(w.ro, w.got(w.ro.Remove(w.founder.key, n.id, event.Vector{fast: 3}, w.tick())))
	w.ro = w.on(w.ro, w.got(w.ro.Admit(w.founder.key, n.id, "back", pool.Writer, w.tick())))
	m, ok := w.ro.Member(n.id)
	if !ok || m.Name != "back" || m.Since != w.now || m.Epoch != fast.Epoch+1 {
		t.Fatalf("member = %+v, %v; want since %d, epoch %d", m, ok, w.now, fast.Epoch+1)
	}
	for _, c := range []struct {
		epoch, seq uint64
		want       error
	}{
		{fast.Epoch, 3, nil},
		{fast.Epoch, 4, pool.ErrRemoved},
		{m.Epoch - 1, 4, pool.ErrRemoved},
		{m.Epoch, 1, nil},
		{m.Epoch + 5, 99, nil},
	} {
		if err := w.ro.MayWrite(event.Writer{Node: n.id, Epoch: c.epoch}, c.seq); !errors.Is(err, c.want) {
			t.Errorf("epoch %d, event %d: %v, want %v", c.epoch, c.seq, err, c.want)
		}
	}
	w.ro = w.on(w.ro, w.got(w.ro.Remove(w.founder.key, n.id, nil, w.tick())))
	if err := w.ro.MayWrite(fast, 3); err != nil {
		t.Errorf("what the first cut left standing fell with the second removal: %v", err)
	}
	if err := w.ro.MayWrite(event.Writer{Node: n.id, Epoch: m.Epoch}, 1); !errors.Is(err, pool.ErrRemoved) {
		t.Errorf("second removal without a cut: %v", err)
	}
}

func TestLoweredRoleCuts(t *testing.T) {
	w := newWorld(t)
	n := w.member(pool.Writer)
	wr := event.Writer{Node: n.id, Epoch: 5}
	w.ro = w.on(w.ro, w.got(w.ro.SetRole(w.founder.key, n.id, pool.Reader, event.Vector{wr: 2}, w.tick())))
	if err := w.ro.MayWrite(wr, 2); err != nil {
		t.Errorf("before the cut: %v", err)
	}
	if err := w.ro.MayWrite(wr, 3); !errors.Is(err, pool.ErrRole) {
		t.Errorf("as a reader: %v", err)
	}
	w.ro = w.on(w.ro, w.got(w.ro.SetRole(w.founder.key, n.id, pool.Writer, nil, w.tick())))
	if err := w.ro.MayWrite(wr, 3); !errors.Is(err, pool.ErrRemoved) {
		t.Errorf("old epoch after the role was raised again: %v", err)
	}
	m, _ := w.ro.Member(n.id)
	if err := w.ro.MayWrite(event.Writer{Node: n.id, Epoch: m.Epoch}, 1); err != nil {
		t.Errorf("new epoch: %v", err)
	}
}

func TestReaderNeverWrote(t *testing.T) {
	w := newWorld(t)
	n := w.member(pool.Reader)
	if err := w.ro.MayWrite(event.Writer{Node: n.id, Epoch: 1}, 1); !errors.Is(err, pool.ErrRole) {
		t.Errorf("reader: %v", err)
	}
	if err := w.ro.MayWrite(event.Writer{Node: newNode(t).id, Epoch: 1}, 1); !errors.Is(err, pool.ErrNotMember) {
		t.Errorf("stranger: %v", err)
	}
	w.ro = w.on(w.ro, w.got(w.ro.SetRole(w.founder.key, n.id, pool.Writer, nil, w.tick())))
	if err := w.ro.MayWrite(event.Writer{Node: n.id, Epoch: 1}, 1); err != nil {
		t.Errorf("reader made writer: %v", err)
	}
}

func TestNames(t *testing.T) {
	long := make([]byte, pool.MaxName+1)
	for i := range long {
		long[i] = 'x'
	}
	for name, ok := range map[string]bool{
		"home": true, "Ana's Büro 2": true, string(long[1:]): true,
		"": false, string(long): false, "a\nb": false, "a\x1b[31m": false, "\xff": false, " a": false, "a\u202eb": false,
	} {
		err := pool.CheckName(name)
		if ok != (err == nil) || err != nil && !errors.Is(err, pool.ErrName) {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
		if _, err := pool.Found(newNode(t).key, name, "n", 1); ok != (err == nil) {
			t.Errorf("Found with pool name %q: %v", name, err)
		}
	}
}

func TestForeignAndForgedRecords(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	foreign := other.got(other.ro.Admit(other.founder.key, newNode(t).id, "x", pool.Admin, other.tick()))
	ro := w.on(w.ro, foreign, other.ro.Records()[0])
	if ro.Digest() != w.ro.Digest() || len(ro.Rejected()) != 2 {
		t.Errorf("foreign records: rejected %v", ro.Rejected())
	}
	for _, r := range ro.Rejected() {
		if !errors.Is(r.Err, pool.ErrForeign) {
			t.Errorf("rejected with %v, want %v", r.Err, pool.ErrForeign)
		}
	}
	if _, err := pool.NewRoster([]pool.Record{w.ro.Records()[0], other.ro.Records()[0]}); !errors.Is(err, pool.ErrForeign) {
		t.Errorf("two founders: %v", err)
	}
	if _, err := pool.NewRoster([]pool.Record{foreign}); !errors.Is(err, pool.ErrNoGenesis) {
		t.Errorf("no genesis: %v", err)
	}
}

func TestEveryChangedBitOfARecordIsNoticed(t *testing.T) {
	w := newWorld(t)
	n := w.member(pool.Writer)
	for _, rec := range append(w.ro.Records(), w.got(w.ro.Remove(n.key, n.id, event.Vector{{Node: n.id, Epoch: 4}: 3}, w.tick()))) {
		for i := range len(rec.Raw) * 8 {
			raw := append([]byte(nil), rec.Raw...)
			raw[i/8] ^= 1 << (i % 8)
			if _, err := pool.OpenRecord(raw); !errors.Is(err, pool.ErrRecord) {
				t.Fatalf("%s with bit %d changed: %v", rec.Act, i, err)
			}
		}
	}
}

func TestPendingRecordWaitsForItsParent(t *testing.T) {
	w := newWorld(t)
	n := newNode(t)
	first := w.got(w.ro.Admit(w.founder.key, n.id, "n", pool.Writer, w.tick()))
	second := w.got(w.on(w.ro, first).Rename(n.key, n.id, "m", w.tick()))
	ro := w.on(w.ro, second)
	if ro.Digest() != w.ro.Digest() || len(ro.Pending()) != 1 || ro.Has(second.Hash) {
		t.Errorf("a child without its parent: pending %d, has %v", len(ro.Pending()), ro.Has(second.Hash))
	}
	ro = w.on(ro, first)
	if m, _ := ro.Member(n.id); m.Name != "m" || len(ro.Pending()) != 0 {
		t.Errorf("after the parent came: %+v, pending %d", m, len(ro.Pending()))
	}
}

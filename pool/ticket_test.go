package pool_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

var hints = []string{"/ip4/192.168.1.7/tcp/7716", "/ip4/192.168.1.7/udp/7716/quic-v1"}

func (w *world) invite(role pool.Role, uses int) pool.Ticket {
	w.t.Helper()
	tk, err := w.ro.Invite(w.founder.key, role, epoch0.Add(24*time.Hour), uses, hints, epoch0)
	if err != nil {
		w.t.Fatal(err)
	}
	return tk
}

// honour is what by answers to n's claim on tk.
func (w *world) honour(by, n node, tk pool.Ticket) (pool.Record, error) {
	return w.ro.Honour(by.key, pool.Guest{Claim: tk.Claim(n.id), Name: "joiner"}, epoch0.Add(time.Minute), w.tick())
}

func TestTicketTextRoundTrip(t *testing.T) {
	w := newWorld(t)
	tk := w.invite(pool.Keeper, 3)
	got, err := pool.ParseTicket(" " + tk.String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []any{w.ro.ID(), "home", w.founder.id, pool.Keeper, epoch0.Add(24 * time.Hour), 3, hints, tk.ID(), tk.Secret}
	have := []any{got.Pool, got.PoolName, got.Issuer, got.Role, got.Expires, got.Uses, got.Addrs, got.ID(), got.Secret}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
	if n := len(tk.String()); n > 320 {
		t.Errorf("ticket of %d characters: too many for a QR code", n)
	}
	if strings.Contains(tk.LogValue().String(), base64.RawURLEncoding.EncodeToString(tk.Secret[:])) {
		t.Error("the log shows the secret")
	}
}

func TestEveryChangedBitOfATicketIsNoticed(t *testing.T) {
	s := newWorld(t).invite(pool.Writer, 1).String()
	for i := range len(s) * 8 {
		b := []byte(s)
		b[i/8] ^= 1 << (i % 8)
		if _, err := pool.ParseTicket(string(b)); !errors.Is(err, pool.ErrTicketDamaged) {
			t.Errorf("bit %d changed (%q for %q): %v", i, b[i/8], s[i/8], err)
		}
	}
}

func TestTicketsThatAreNone(t *testing.T) {
	s := newWorld(t).invite(pool.Writer, 1).String()
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":         {"", pool.ErrTicketDamaged},
		"prefix only":   {"mkt1", pool.ErrTicketDamaged},
		"cut short":     {s[:len(s)-1], pool.ErrTicketDamaged},
		"too long":      {s + "A", pool.ErrTicketDamaged},
		"endless":       {"mkt1" + strings.Repeat("A", pool.MaxTicket), pool.ErrTicketDamaged},
		"line broken":   {s[:40] + "\n" + s[40:], pool.ErrTicketDamaged},
		"something":     {"hello", pool.ErrTicketDamaged},
		"later version": {"mkt2abc", pool.ErrTicketVersion},
		"two bits of 1": {"mkt2" + s[4:], pool.ErrTicketDamaged},
	} {
		if _, err := pool.ParseTicket(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestTicketTerms(t *testing.T) {
	w := newWorld(t)
	for name, make := range map[string]func() error{
		"past":      func() error { return w.terms(pool.Writer, epoch0, 1, nil) },
		"no uses":   func() error { return w.terms(pool.Writer, epoch0.Add(time.Hour), 0, nil) },
		"many uses": func() error { return w.terms(pool.Writer, epoch0.Add(time.Hour), pool.MaxUses+1, nil) },
		"no role":   func() error { return w.terms(0, epoch0.Add(time.Hour), 1, nil) },
		"bad hint":  func() error { return w.terms(pool.Writer, epoch0.Add(time.Hour), 1, []string{"here"}) },
		"hints": func() error {
			return w.terms(pool.Writer, epoch0.Add(time.Hour), 1, append(append(hints, hints...), hints...))
		},
	} {
		if err := make(); !errors.Is(err, pool.ErrTicketTerms) {
			t.Errorf("%s: %v, want %v", name, err, pool.ErrTicketTerms)
		}
	}
}

func (w *world) terms(role pool.Role, expires time.Time, uses int, addrs []string) error {
	_, err := w.ro.Invite(w.founder.key, role, expires, uses, addrs, epoch0)
	return err
}

func TestTicketAdmits(t *testing.T) {
	w := newWorld(t)
	keeper, n := w.member(pool.Keeper), newNode(t)
	tk := w.invite(pool.Writer, 1)
	w.ro = w.on(w.ro, w.got(w.honour(keeper, n, tk)))
	wantRole(t, w.ro, n.id, pool.Writer)
	if _, err := w.honour(keeper, n, tk); !errors.Is(err, pool.ErrAlreadyMember) {
		t.Errorf("same node again: %v", err)
	}
	if _, err := w.honour(keeper, newNode(t), tk); !errors.Is(err, pool.ErrTicketUsed) {
		t.Errorf("used twice: %v", err)
	}
	w.ro = w.on(w.ro, w.got(w.ro.Remove(w.founder.key, n.id, nil, w.tick())))
	if _, err := w.honour(keeper, n, tk); !errors.Is(err, pool.ErrTicketUsed) {
		t.Errorf("a removed member comes back by its old ticket: %v", err)
	}
}

func TestTicketRefused(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	admin, n := w.member(pool.Admin), newNode(t)
	tk := w.invite(pool.Writer, 5)
	now := epoch0.Add(time.Minute)
	honour := func(ro *pool.Roster, by node, c pool.Claim, at time.Time) error {
		_, err := ro.Honour(by.key, pool.Guest{Claim: c, Name: "n"}, at, event.HLCOf(at))
		return err
	}
	revoked := w.on(w.ro, w.got(w.ro.Revoke(admin.key, tk.ID(), w.tick())))
	issuerGone := w.on(w.ro, w.got(w.ro.Remove(admin.key, w.founder.id, nil, w.tick())))
	lowered := w.on(w.ro, w.got(w.ro.SetRole(admin.key, w.founder.id, pool.Writer, nil, w.tick())))
	writer := w.member(pool.Writer)
	for name, c := range map[string]struct {
		err, want error
	}{
		"expired":        {honour(w.ro, admin, tk.Claim(n.id), tk.Expires.Add(time.Second)), pool.ErrTicketExpired},
		"foreign":        {honour(w.ro, admin, other.invite(pool.Admin, 1).Claim(n.id), now), pool.ErrTicketForeign},
		"revoked":        {honour(revoked, admin, tk.Claim(n.id), now), pool.ErrTicketRevoked},
		"issuer gone":    {honour(issuerGone, admin, tk.Claim(n.id), now), pool.ErrTicketRevoked},
		"issuer lowered": {honour(lowered, admin, tk.Claim(n.id), now), pool.ErrTicketRevoked},
		"by a writer":    {honour(w.ro, writer, tk.Claim(n.id), now), pool.ErrRole},
		"by a stranger":  {honour(w.ro, newNode(t), tk.Claim(n.id), now), pool.ErrNotMember},
		"in time":        {honour(w.ro, admin, tk.Claim(n.id), now), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

func TestKeeperCannotRaiseRoles(t *testing.T) {
	w := newWorld(t)
	keeper, n := w.member(pool.Keeper), newNode(t)
	good := w.invite(pool.Reader, 1)
	fake := good
	fake.Issuer, fake.Role = keeper.id, pool.Admin
	own, err := pool.ForgeTicket(keeper.key, fake)
	if err != nil {
		t.Fatal(err)
	}
	fake.Issuer = w.founder.id
	if _, err := pool.ForgeTicket(keeper.key, fake); !errors.Is(err, pool.ErrTicketDamaged) {
		t.Errorf("ticket in the founder's name signed by the keeper: %v", err)
	}
	claim, goodClaim := own.Claim(n.id), good.Claim(n.id)
	for name, forge := range map[string]func() (pool.Record, error){
		"own ticket": func() (pool.Record, error) {
			return pool.ForgeAdmit(keeper.key, w.ro, n.id, pool.Admin, &claim, w.tick())
		},
		"by hand": func() (pool.Record, error) {
			return pool.ForgeAdmit(keeper.key, w.ro, n.id, pool.Reader, nil, w.tick())
		},
		"higher role than the ticket's": func() (pool.Record, error) {
			return pool.ForgeAdmit(keeper.key, w.ro, n.id, pool.Admin, &goodClaim, w.tick())
		},
		"another's claim": func() (pool.Record, error) {
			return pool.ForgeAdmit(keeper.key, w.ro, newNode(t).id, pool.Reader, &goodClaim, w.tick())
		},
		"expired": func() (pool.Record, error) {
			return pool.ForgeAdmit(keeper.key, w.ro, n.id, pool.Reader, &goodClaim, event.HLCOf(good.Expires.Add(time.Second)))
		},
	} {
		rec, err := forge()
		if err != nil {
			continue // refused by its form alone
		}
		ro := w.on(w.ro, rec)
		if ro.Has(rec.Hash) || len(ro.Rejected()) != 1 || ro.Digest() != w.ro.Digest() {
			t.Errorf("%s: the record was let in", name)
		}
	}
}

func TestClaimIsForOneNode(t *testing.T) {
	w := newWorld(t)
	tk, a, b := w.invite(pool.Writer, 2), newNode(t), newNode(t)
	ca, cb := tk.Claim(a.id).Encode(), tk.Claim(b.id).Encode()
	if c, err := pool.ParseClaim(ca); err != nil || c.Node != a.id || c.Role != pool.Writer {
		t.Fatalf("ParseClaim = %+v, %v", c, err)
	}
	for i := range len(ca) * 8 {
		raw := append([]byte(nil), ca...)
		raw[i/8] ^= 1 << (i % 8)
		if _, err := pool.ParseClaim(raw); !errors.Is(err, pool.ErrTicketDamaged) {
			t.Fatalf("bit %d changed: %v", i, err)
		}
	}
	if string(ca) == string(cb) || strings.Contains(string(ca), string(tk.Secret[:])) {
		t.Error("claims are equal, or show the secret")
	}
}

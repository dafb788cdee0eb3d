package node_test

import (
	"bufio"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/node"
	"github.com/bwaklog/meerkat/node/internal/pb"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
	"google.golang.org/protobuf/proto"
)

const joinProtocol = "/meerkat/join/1"

// side is one node as far as admission goes.
type side struct {
	home  *node.Home
	host  host.Host
	admit *node.Admission
	stop  func()
}

func newSide(t *testing.T, h *node.Home) *side {
	t.Helper()
	hst := newTestHost(t, h.Key())
	s := &side{home: h, host: hst}
	s.admit = node.NewAdmission(node.AdmissionConfig{
		Host: hst, Key: h.Key(), Clock: h.Clock(), Facts: h.DB(), Pools: s.pools,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.admit.Run(ctx) }) // always nil
	s.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(s.stop)
	return s
}

func newTestHost(t *testing.T, key crypto.PrivKey) host.Host {
	t.Helper()
	hst, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hst.Close() }) // the test is over
	return hst
}

func (s *side) pools() []*store.Pool {
	var out []*store.Pool
	for _, p := range s.home.Pools() {
		if st, err := s.home.DB().Pool(p.ID); err == nil && st.Roster() != nil {
			out = append(out, st)
		}
	}
	return out
}

func (s *side) roster(t *testing.T) *pool.Roster {
	t.Helper()
	all := s.pools()
	if len(all) != 1 {
		t.Fatalf("%d pools, want 1", len(all))
	}
	return all[0].Roster()
}

func meet(t *testing.T, a, b host.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// founder is a side that has a pool.
func founder(t *testing.T) *side {
	t.Helper()
	h := mustHome(t, t.TempDir(), "", node.HomeConfig{})
	if _, err := h.Init(t.Context(), t.TempDir(), "home"); err != nil {
		t.Fatal(err)
	}
	return newSide(t, h)
}

func joinerOf(t *testing.T, to *side) *side {
	t.Helper()
	s := newSide(t, mustHome(t, t.TempDir(), "", node.HomeConfig{}))
	meet(t, s.host, to.host)
	return s
}

func (s *side) invite(t *testing.T, r node.InviteRequest) string {
	t.Helper()
	info, err := s.home.Invite(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return info.Ticket
}

func (s *side) ask(t *testing.T, to *side, ticket string) node.Answer {
	t.Helper()
	a, err := s.admit.Ask(t.Context(), to.host.ID(), ticket, "joiner")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantRefused(t *testing.T, what string, a node.Answer, code string) {
	t.Helper()
	if a.Refused == nil || a.Refused.Code != code || len(a.Records) != 0 || a.Pending {
		t.Errorf("%s: %+v, want refused with %s", what, a, code)
	}
}

func TestAdmissionByTicket(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	ticket := a.invite(t, node.InviteRequest{Role: "keeper"})
	got := b.ask(t, a, ticket)
	ro, err := pool.NewRoster(got.Records)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := ro.Member(b.host.ID())
	if !ok || m.Role != pool.Keeper || m.Name != "joiner" || ro.Digest() != a.roster(t).Digest() {
		t.Errorf("joiner = %+v, %v", m, ok)
	}
	if again := b.ask(t, a, ticket); len(again.Records) != len(got.Records) {
		t.Errorf("the answer was lost, asked again: %+v", again)
	}
	c := joinerOf(t, a)
	wantRefused(t, "used twice", c.ask(t, a, ticket), "ticket_used")

	dir := t.TempDir()
	if _, err := b.home.EnterPool(ro, dir); err != nil {
		t.Fatal(err)
	}
	meet(t, c.host, b.host)
	second := a.invite(t, node.InviteRequest{})
	if got := c.ask(t, b, second); len(got.Records) != len(ro.Records())+1 {
		t.Errorf("a keeper honours a ticket: %+v", got)
	}
}

func TestStrangersLearnNothing(t *testing.T) {
	a, other := founder(t), founder(t)
	b := joinerOf(t, a)
	wantRefused(t, "ticket of a pool that is not here", b.ask(t, a, other.invite(t, node.InviteRequest{})), "unknown_pool")
	for name, ask := range map[string]*pb.Ask{
		"garbage":           {Claim: []byte("garbage"), Name: "x"},
		"another's claim":   {Claim: claimFor(t, a, other.host.ID()), Name: "x"},
		"pool by its id":    {Pool: idOf(t, a)},
		"pool of no length": {Pool: []byte{1}},
		"no such pool":      {Pool: make([]byte, 32)},
	} {
		if got := rawAsk(t, b.host, a.host.ID(), ask); got.Code != "unknown_pool" || len(got.Records) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if n := len(a.roster(t).Members()); n != 1 {
		t.Errorf("%d members", n)
	}
}

func idOf(t *testing.T, s *side) []byte {
	id := s.roster(t).ID()
	return id[:]
}

func claimFor(t *testing.T, s *side, p peer.ID) []byte {
	t.Helper()
	tk, err := pool.ParseTicket(s.invite(t, node.InviteRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	return tk.Claim(p).Encode()
}

// rawAsk sends whatever ask and gives the first answer.
func rawAsk(t *testing.T, h host.Host, to peer.ID, ask *pb.Ask) *pb.Answer {
	t.Helper()
	s, err := h.NewStream(t.Context(), to, joinProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := proto.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	if err := frame.Write(s, b); err != nil {
		t.Fatal(err)
	}
	raw, err := frame.Read(bufio.NewReader(s), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	var m pb.Answer
	if err := proto.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestTicketsThatServeNoMore(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	st := a.pools()[0]
	tk, err := pool.ParseTicket(a.invite(t, node.InviteRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := st.Roster().Revoke(a.home.Key(), tk.ID(), a.home.Clock().Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.AddRecords([]pool.Record{rec}); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "revoked", b.ask(t, a, tk.String()), "ticket_revoked")
	past := time.Now().Add(-2 * time.Hour)
	old, err := st.Roster().Invite(a.home.Key(), pool.Writer, past.Add(time.Hour), 1, nil, past)
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, "expired", b.ask(t, a, old.String()), "ticket_expired")
	if _, err := b.admit.Ask(t.Context(), a.host.ID(), "mkt1x", "joiner"); !errors.Is(err, pool.ErrTicketDamaged) {
		t.Errorf("damaged: %v", err)
	}
	if a, err := b.admit.Ask(t.Context(), a.host.ID(), a.invite(t, node.InviteRequest{}), "a\nb"); err != nil || a.Refused == nil || a.Refused.Code != "bad_name" {
		t.Errorf("bad name: %+v, %v", a, err)
	}
}

func TestWriterMayNotAdmit(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	ro, err := pool.NewRoster(b.ask(t, a, a.invite(t, node.InviteRequest{})).Records)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.home.EnterPool(ro, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	c := joinerOf(t, b)
	_, err = c.admit.Ask(t.Context(), b.host.ID(), a.invite(t, node.InviteRequest{}), "c")
	wantError(t, "asked of a writer", err, "not_admin", 5)
}

func TestAdmissionByHand(t *testing.T) {
	a := founder(t)
	b, c := joinerOf(t, a), joinerOf(t, a)
	if got := b.ask(t, a, ""); !got.Pending {
		t.Fatalf("first time: %+v, want pending", got)
	}
	c.ask(t, a, "")
	b.ask(t, a, "")
	reqs := a.admit.Requests()
	if len(reqs) != 2 || reqs[0].ID != b.host.ID().String() || reqs[0].Name != "joiner" || reqs[0].Addr == "" {
		t.Fatalf("requests %+v", reqs)
	}
	id := a.roster(t).ID()
	_, err := a.admit.Approve(t.Context(), id, "nobody", "writer")
	wantError(t, "who", err, "no_request", 4)
	_, err = a.admit.Approve(t.Context(), id, "joiner", "writer")
	wantError(t, "two of a name", err, "which_node", 2)
	_, err = a.admit.Approve(t.Context(), id, reqs[0].ID, "boss")
	wantError(t, "role", err, "bad_role", 2)
	_, err = a.admit.Approve(t.Context(), event.PoolID{1}, reqs[0].ID, "")
	wantError(t, "pool", err, "no_pool", 4)
	if p, err := a.admit.Approve(t.Context(), id, reqs[0].ID, ""); err != nil || p != b.host.ID() {
		t.Fatalf("Approve = %v, %v", p, err)
	}
	if err := a.admit.Deny(t.Context(), c.host.ID().String()); err != nil {
		t.Fatal(err)
	}
	ro, err := pool.NewRoster(b.ask(t, a, "").Records)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := ro.Member(b.host.ID()); !ok || m.Role != pool.Writer {
		t.Errorf("approved: %+v, %v", m, ok)
	}
	wantRefused(t, "denied", c.ask(t, a, ""), "denied")
	if n := len(a.admit.Requests()); n != 0 {
		t.Errorf("%d requests are left", n)
	}
}

func TestMemberGetsItsRosterAgain(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	b.ask(t, a, a.invite(t, node.InviteRequest{}))
	id := a.roster(t).ID()
	got, err := b.admit.AskAgain(t.Context(), a.host.ID(), id)
	if err != nil || len(got.Records) != 2 {
		t.Errorf("a member that lost its state: %+v, %v", got, err)
	}
	if _, err := a.home.PeerRemove(t.Context(), "", b.host.ID().String()); err != nil {
		t.Fatal(err)
	}
	got, err = b.admit.AskAgain(t.Context(), a.host.ID(), id)
	if err != nil {
		t.Fatal(err)
	}
	if last := len(got.Records) - 1; last < 0 || got.Records[last].Act != pool.Remove || got.Records[last].Node != b.host.ID() {
		t.Errorf("a removed member gets %d records, want those up to its removal", last+1)
	}
	got.Records = nil
	wantRefused(t, "after its removal", got, "removed")
}

package pubsub_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
)

const patience = 20 * time.Second

// book is a pubsub.Log in memory. Its roster records are signed by an admin: 64 bytes of signature, then '+' or '-', then a
// peer id; a removal beats all admissions.
type book struct {
	self  peer.ID
	pool  event.PoolID
	admin crypto.PubKey

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	recs    map[event.Hash][]byte
	logs    map[event.Writer][]event.Segment
	reports map[string][]byte
	from    []peer.ID       // who handed segments over
	calls   int             // of Append
	raws    map[string]bool // passed to Append
	failing error           // what Append gives, if not nil
	hold    chan struct{}   // Append waits for it, if not nil
}

func newBook(self peer.ID, pool event.PoolID, admin crypto.PubKey) *book {
	return &book{
		self: self, pool: pool, admin: admin, changed: make(chan struct{}),
		recs: map[event.Hash][]byte{}, logs: map[event.Writer][]event.Segment{}, reports: map[string][]byte{}, raws: map[string]bool{},
	}
}

func (b *book) tellLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// await waits until ok holds; it is asked, unlocked, at each change.
func (b *book) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		b.mu.Lock()
		c := b.changed
		b.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-c:
		case <-late:
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

func (b *book) ID() event.PoolID { return b.pool }
func (b *book) Topic() string    { return fmt.Sprintf("topic-%x", b.pool[:8]) }

func (b *book) has(kind byte, p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, raw := range b.recs {
		if raw[64] == kind && string(raw[65:]) == string(p) {
			return true
		}
	}
	return false
}

func (b *book) Member(p peer.ID) bool  { return b.has('+', p) && !b.has('-', p) }
func (b *book) Removed(p peer.ID) bool { return b.has('-', p) }

func (b *book) RosterHashes() []event.Hash {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Keys(b.recs), event.Hash.Compare)
}

func (b *book) RosterDigest() event.Hash {
	h := blake3.New()
	for _, x := range b.RosterHashes() {
		_, _ = h.Write(x[:])
	}
	return event.Hash(h.Sum(nil))
}

func (b *book) RosterRecords(hs []event.Hash) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var raws [][]byte
	for _, h := range hs {
		if raw := b.recs[h]; raw != nil {
			raws = append(raws, raw)
		}
	}
	return raws
}

func (b *book) AddRosterRecords(_ context.Context, _ peer.ID, raws [][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, raw := range raws {
		if len(raw) < 66 {
			continue
		}
		if ok, err := b.admin.Verify(raw[64:], raw[:64]); err == nil && ok {
			b.recs[blake3.Sum256(raw)] = raw
		}
	}
	b.tellLocked()
	return nil
}

func (b *book) Heads() []event.Head {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hs []event.Head
	for _, l := range b.logs {
		hs = append(hs, l[len(l)-1].Head())
	}
	return hs
}

func (b *book) Summary() (s event.Sum) {
	for _, h := range b.Heads() {
		s.Add(h.Hash)
	}
	return s
}

func (b *book) After(w event.Writer, seq uint64, max int) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var raws [][]byte
	size := 0
	for _, s := range b.logs[w] {
		if s.Last() <= seq {
			continue
		}
		if size += len(s.Raw); len(raws) > 0 && size > max {
			break
		}
		raws = append(raws, s.Raw)
	}
	return raws, nil
}

func (b *book) Append(_ context.Context, from peer.ID, raws [][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.tellLocked()
	b.calls++
	for _, raw := range raws {
		b.raws[string(raw)] = true
	}
	b.from = append(b.from, from)
	if hold := b.hold; hold != nil {
		b.tellLocked()
		b.mu.Unlock()
		<-hold
		b.mu.Lock()
	}
	if b.failing != nil {
		return b.failing
	}
	for _, raw := range raws {
		s, err := event.OpenSegment(b.pool, raw)
		if err != nil {
			return err
		}
		l := b.logs[s.Writer]
		var have uint64
		if len(l) > 0 {
			have = l[len(l)-1].Last()
		}
		switch {
		case s.Last() <= have:
		case s.First > have+1:
			return fmt.Errorf("%s has %d: %w", s.Writer, have, pubsub.ErrGap)
		default:
			b.logs[s.Writer] = append(l, s)
		}
	}
	return nil
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = err
}

func (b *book) appends() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// Reports in tests are a name, a space and whatever; a greater one replaces a lesser of the same name.
func (b *book) Report(_ context.Context, _ peer.ID, raw []byte) {
	name, _, _ := strings.Cut(string(raw), " ")
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes.Compare(raw, b.reports[name]) > 0 {
		b.reports[name] = slices.Clone(raw)
	}
	b.tellLocked()
}

func (b *book) Reports() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.reports))
}

func (b *book) report(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.reports[name])
}

func (b *book) seq(w event.Writer) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.logs[w]; len(l) > 0 {
		return l[len(l)-1].Last()
	}
	return 0
}

// world is a pool, its admin and its nodes, all on loopback.
type world struct {
	t     testing.TB
	pool  event.PoolID
	admin crypto.PrivKey
}

func newWorld(t testing.TB) *world {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, admin: key}
	_, _ = rand.Read(w.pool[:])
	return w
}

func (w *world) record(kind byte, p peer.ID) []byte {
	body := append([]byte{kind}, p...)
	sig, err := w.admin.Sign(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return append(sig, body...)
}

type node struct {
	*book
	t    testing.TB
	host host.Host
	feed *pubsub.Feed
	key  crypto.PrivKey
	me   event.Writer
	stop func()
}

// brisk has the feeds of tests try again soon, and never compare without cause.
var brisk = pubsub.Config{Every: time.Hour, Retry: 50 * time.Millisecond, Jitter: 5 * time.Millisecond, Frame: 3 * time.Second}

func newHost(t testing.TB, more ...libp2p.Option) (host.Host, crypto.PrivKey) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(append(more, libp2p.Identity(key), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h, key
}

func (w *world) node(c pubsub.Config, more ...libp2p.Option) *node {
	w.t.Helper()
	h, key := newHost(w.t, more...)
	f, err := pubsub.New(h, c)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{book: newBook(h.ID(), w.pool, w.admin.GetPublic()), t: w.t, host: h, feed: f, key: key, me: event.Writer{Node: h.ID(), Epoch: 1}}
	if err := f.Join(n.book); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(n.stop)
	return n
}

// nudge has an await ask again soon, where what it waits for is no change of the book.
func (n *node) nudge() {
	time.AfterFunc(10*time.Millisecond, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.tellLocked()
	})
}

// moved is what n's exchanges cost in all.
func (n *node) moved() int64 {
	_, in, out := n.feed.Counters()
	return in + out
}

// nodes makes n members that know each other and are not connected.
func (w *world) nodes(n int) []*node {
	w.t.Helper()
	var ns []*node
	for range n {
		ns = append(ns, w.node(brisk))
	}
	for _, a := range ns {
		for _, b := range ns {
			a.admit(w, b.self)
		}
	}
	return ns
}

func (n *node) admit(w *world, p peer.ID) { n.know(w.record('+', p)) }

func (n *node) know(rec []byte) {
	_ = n.AddRosterRecords(n.t.Context(), "", [][]byte{rec})
	n.feed.Refresh(n.pool)
}

func connect(a, b *node) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	if err := a.host.Connect(ctx, peer.AddrInfo{ID: b.host.ID(), Addrs: b.host.Addrs()}); err != nil {
		a.t.Fatal(err)
	}
}

func part(a, b *node) {
	_ = a.host.Network().ClosePeer(b.self)
	_ = b.host.Network().ClosePeer(a.self)
}

func drafts(n, size int) []event.Event {
	es := make([]event.Event, n)
	for i := range es {
		es[i] = event.Event{Path: event.Path(fmt.Sprintf("file-%d-%d", i, time.Now().UnixNano())), HLC: 1, Value: event.Value{
			Kind: event.Link, Target: strings.Repeat("x", max(size, 1)), Mode: event.LinkMode, MTime: 1,
		}}
	}
	return es
}

// write commits n events of about size bytes each to n's own log, in one segment where they fit, and announces nothing.
func (n *node) write(count, size int) []event.Segment {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	prev := event.Head{Writer: n.me}
	if l := n.logs[n.me]; len(l) > 0 {
		prev = l[len(l)-1].Head()
	}
	segs, err := event.Seal(n.key, n.pool, prev, nil, drafts(count, size))
	if err != nil {
		n.t.Fatal(err)
	}
	n.logs[n.me] = append(n.logs[n.me], segs...)
	n.tellLocked()
	return segs
}

func (n *node) say(count, size int) {
	n.t.Helper()
	for _, s := range n.write(count, size) {
		n.feed.Announce(n.pool, s)
	}
}

// awaitAll waits until all nodes have all that anyone wrote.
func awaitAll(t testing.TB, ns ...*node) {
	t.Helper()
	want := event.Vector{}
	for _, n := range ns {
		want[n.me] = n.seq(n.me)
	}
	for _, n := range ns {
		for w, seq := range want {
			n.await(t, fmt.Sprintf("%s has %d of %s", n.self, seq, w), func() bool { return n.seq(w) >= seq })
		}
	}
}

func (n *node) repair(p peer.ID) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	return n.feed.Repair(ctx, n.pool, p)
}

func (n *node) link(p peer.ID) (pubsub.Link, bool) {
	for _, l := range n.feed.Links(n.pool) {
		if l.Peer == p {
			return l, true
		}
	}
	return pubsub.Link{}, false
}

// meshed waits until gossip from a reaches b: not before do tests of gossip alone mean anything.
func meshed(t testing.TB, ns ...*node) {
	t.Helper()
	for _, a := range ns {
		name := "mesh-" + a.self.String()
		for i := 0; ; i++ {
			if err := a.feed.SendReport(a.pool, fmt.Appendf(nil, "%s %09d", name, i)); err != nil {
				t.Fatal(err)
			}
			if heardAll(ns, a, name) {
				break
			}
			if i > 400 {
				t.Fatalf("%s is heard by not all after %d reports", a.self, i)
			}
		}
	}
}

// heardAll waits a little for the others to hear any report of a.
func heardAll(ns []*node, a *node, name string) bool {
	soon := time.After(50 * time.Millisecond)
	for _, b := range ns {
		for b != a && b.report(name) == "" {
			b.mu.Lock()
			c := b.changed
			b.mu.Unlock()
			select {
			case <-c:
			case <-soon:
				return false
			}
		}
	}
	return true
}

var errTest = errors.New("test")

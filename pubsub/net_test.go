package pubsub_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
)

const patience = 20 * time.Second

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
	return w.nodeOf(c, func(b *book) pubsub.Log { return b }, more...)
}

// nodeOf makes a node whose log is what wrap makes of its book.
func (w *world) nodeOf(c pubsub.Config, wrap func(*book) pubsub.Log, more ...libp2p.Option) *node {
	w.t.Helper()
	h, key := newHost(w.t, more...)
	f, err := pubsub.New(h, c)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{book: newBook(h.ID(), w.pool, w.admin.GetPublic()), t: w.t, host: h, feed: f, key: key, me: event.Writer{Node: h.ID(), Epoch: 1}}
	if err := f.Join(wrap(n.book)); err != nil {
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

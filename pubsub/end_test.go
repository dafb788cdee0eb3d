package pubsub_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/bwaklog/meerkat/pubsub"
)

// goroutinesOf gives the stacks that mention a package.
func goroutinesOf(pkg string) []string {
	buf := make([]byte, 8<<20)
	var found []string
	for _, g := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
		if s := string(g); strings.Contains(s, pkg) && !strings.Contains(s, "_test.go") {
			found = append(found, s)
		}
	}
	return found
}

func TestNothingIsLeftAfterRun(t *testing.T) {
	ns := newWorld(t).nodes(3)
	ns[0].write(500, 2000)
	connect(ns[0], ns[1])
	connect(ns[1], ns[2])
	meshed(t, ns...)
	for _, n := range ns {
		n.say(1, 10)
		n.stop()
	}
	noneLeft(t, "meerkat/pubsub.")
	noneLeft(t, "go-libp2p-pubsub")
}

// noneLeft waits until no goroutine of a package is left: one that has done its work, and was waited for, may still have to be taken down.
func noneLeft(t *testing.T, pkg string) {
	t.Helper()
	late := time.After(patience)
	for left := goroutinesOf(pkg); len(left) > 0; left = goroutinesOf(pkg) {
		select {
		case <-late:
			t.Fatalf("%d goroutines of %s are left, the first:\n%s", len(left), pkg, left[0])
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestRepairEndsWithItsContextAndWithThePool(t *testing.T) {
	ns := newWorld(t).nodes(2)
	hold := make(chan struct{})
	ns[1].mu.Lock()
	ns[1].hold = hold
	ns[1].mu.Unlock()
	ns[0].write(1, 10)
	connect(ns[0], ns[1])
	ns[1].await(t, "an append hangs", func() bool { return ns[1].appends() > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := ns[0].feed.Repair(ctx, ns[0].pool, ns[1].self); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("repair with a member that hangs = %v, want its context's error", err)
	}
	failed := make(chan error, 1)
	go func() { failed <- ns[0].repair(ns[1].self) }()
	ns[0].feed.Leave(ns[0].pool)
	if err := <-failed; err == nil {
		t.Error("repair succeeded in a pool that was left meanwhile")
	}
	close(hold)
}

// Two members that only a relay connects, within its limits, where GossipSub opens no stream.
func TestLimitedConnectionCarriesRepair(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(2)
	rh, _ := newHost(t)
	r, err := relay.New(rh)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ri := peer.AddrInfo{ID: rh.ID(), Addrs: rh.Addrs()}
	for _, n := range ns {
		if err := n.host.Connect(ctx, ri); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Reserve(ctx, ns[1].host, ri); err != nil {
		t.Fatal(err)
	}
	via := ma.StringCast(rh.Addrs()[0].String() + "/p2p/" + rh.ID().String() + "/p2p-circuit")
	lctx := network.WithAllowLimitedConn(ctx, "test")
	if err := ns[0].host.Connect(lctx, peer.AddrInfo{ID: ns[1].self, Addrs: []ma.Multiaddr{via}}); err != nil {
		t.Fatal(err)
	}
	if got := ns[0].host.Network().Connectedness(ns[1].self); got != network.Limited {
		t.Fatalf("connection is %v, want limited", got)
	}
	ns[0].say(1, 10)
	awaitAll(t, ns...)
	for range 5 { // each by a poke of our own
		ns[1].say(1, 10)
		awaitAll(t, ns...)
	}
}

func TestFeedThatNeverRan(t *testing.T) {
	w := newWorld(t)
	h, _ := newHost(t)
	f, err := pubsub.New(h, pubsub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := newBook(h.ID(), w.pool, w.admin.GetPublic())
	if err := f.Join(b); err != nil {
		t.Fatal(err)
	}
	f.Leave(w.pool)
	f.Leave(w.pool)
	if err := f.Join(b); err != nil {
		t.Errorf("joining again = %v", err)
	}
	if _, err := pubsub.New(h, pubsub.Config{Every: -1}); err == nil {
		t.Error("a negative time gave no error")
	}
}

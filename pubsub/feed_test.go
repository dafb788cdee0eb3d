package pubsub_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
)

func TestConnectingTwoMembersMergesTheirLogs(t *testing.T) {
	ns := newWorld(t).nodes(2)
	ns[0].write(3, 10)
	ns[1].write(500, 2000) // some megabyte, several batches
	connect(ns[0], ns[1])
	awaitAll(t, ns...)
}

func TestSmallSegmentComesByGossipAlone(t *testing.T) {
	ns := newWorld(t).nodes(2)
	connect(ns[0], ns[1])
	meshed(t, ns...)
	for i, n := range ns { // those that the connection brought are over
		if err := n.repair(ns[1-i].self); err != nil {
			t.Fatal(err)
		}
	}
	before := ns[0].moved()
	for range 20 {
		ns[0].say(1, 10)
	}
	awaitAll(t, ns...)
	if now := ns[0].moved(); now != before {
		t.Errorf("%d bytes went over repair streams, want none", now-before)
	}
}

func TestLargeSegmentIsHintedAndFetched(t *testing.T) {
	ns := newWorld(t).nodes(2)
	connect(ns[0], ns[1])
	meshed(t, ns...)
	ns[0].say(50, 1000)
	awaitAll(t, ns...)
}

func TestGapIsRepairedWithWhoeverForwarded(t *testing.T) {
	ns := newWorld(t).nodes(2)
	connect(ns[0], ns[1])
	meshed(t, ns...)
	ns[0].write(2, 10) // never announced
	ns[0].say(1, 10)
	awaitAll(t, ns...)
}

func TestChain(t *testing.T) {
	ns := newWorld(t).nodes(3)
	connect(ns[0], ns[1])
	connect(ns[1], ns[2])
	meshed(t, ns...)
	ns[0].say(1, 10)
	ns[2].say(80, 1000)
	awaitAll(t, ns...)
}

func TestWhatIsLearnedByRepairReachesNeighboursOfNeighbours(t *testing.T) {
	ns := newWorld(t).nodes(4)
	connect(ns[1], ns[2])
	connect(ns[2], ns[3])
	meshed(t, ns[1:]...)
	ns[0].write(5, 10)
	ns[0].write(60, 1000)
	connect(ns[0], ns[1]) // 2 and 3 hear of it only through 1
	awaitAll(t, ns...)
}

func TestFiveNodesPartitionAndHeal(t *testing.T) {
	ns := newWorld(t).nodes(5)
	for i, a := range ns {
		for _, b := range ns[i+1:] {
			connect(a, b)
		}
	}
	meshed(t, ns...)
	for _, n := range ns {
		n.say(1, 10)
	}
	awaitAll(t, ns...)
	for _, a := range ns[:2] {
		for _, b := range ns[2:] {
			part(a, b)
		}
	}
	for _, n := range ns {
		n.say(1, 10)
		n.say(30, 600)
	}
	awaitAll(t, ns[:2]...)
	awaitAll(t, ns[2:]...)
	connect(ns[0], ns[4])
	awaitAll(t, ns...)
}

func TestPeriodicRepairBringsWhatNobodyAnnounced(t *testing.T) {
	w := newWorld(t)
	c := brisk
	c.Every = 100 * time.Millisecond
	a, b := w.node(c), w.node(c)
	for _, n := range []*node{a, b} {
		n.admit(w, a.self)
		n.admit(w, b.self)
	}
	connect(a, b)
	if err := a.repair(b.self); err != nil {
		t.Fatal(err)
	}
	a.write(1, 10)
	awaitAll(t, a, b)
}

func TestWhatTheLogRefusesIsTriedAgain(t *testing.T) {
	ns := newWorld(t).nodes(2)
	ns[0].write(1, 10)
	ns[1].fail(errTest)
	connect(ns[0], ns[1])
	ns[1].await(t, "two appends fail", func() bool { return ns[1].appends() > 1 })
	if err := ns[1].repair(ns[0].self); !errors.Is(err, errTest) {
		t.Errorf("repair while the log refuses = %v, want %v", err, errTest)
	}
	if l, ok := ns[1].link(ns[0].self); !ok || !errors.Is(l.Err, errTest) || l.Heads {
		t.Errorf("link while the log refuses = %v", l)
	}
	if l, ok := ns[0].link(ns[1].self); !ok || l.Err != nil {
		t.Errorf("link of the side that gave all = %v, want no error", l)
	}
	ns[1].fail(nil)
	awaitAll(t, ns...)
}

func TestReportsTravelByGossipAndByRepair(t *testing.T) {
	ns := newWorld(t).nodes(3)
	ctx := t.Context()
	ns[0].Report(ctx, ns[0].self, []byte("zero 1"))
	connect(ns[0], ns[1])
	ns[1].await(t, "report by repair", func() bool { return ns[1].report("zero") == "zero 1" })
	connect(ns[1], ns[2])
	ns[2].await(t, "report past a missing link", func() bool { return ns[2].report("zero") == "zero 1" })
	meshed(t, ns...)
	if err := ns[2].feed.SendReport(ns[2].pool, []byte("two 1")); err != nil {
		t.Fatal(err)
	}
	ns[0].await(t, "report by gossip", func() bool { return ns[0].report("two") == "two 1" })
}

func TestIdleExchangeIsSmall(t *testing.T) {
	ns := newWorld(t).nodes(10)
	for _, n := range ns[1:] {
		n.write(1, 10)
		for w, l := range n.logs {
			ns[0].logs[w] = l
			ns[1].logs[w] = l
		}
	}
	connect(ns[0], ns[1])
	if err := ns[0].repair(ns[1].self); err != nil {
		t.Fatal(err)
	}
	l, ok := ns[0].link(ns[1].self)
	if !ok || !l.Heads || !l.State || l.In > 300 || l.Out > 300 {
		t.Errorf("link of equal members = %v (state %v), want at most 300 bytes each way", l, l.State)
	}
	t.Logf("idle: %v", l)
}

func TestTenChangesAfterAnAbsenceCostLittle(t *testing.T) {
	ns := newWorld(t).nodes(10)
	for _, n := range ns[2:] {
		n.write(1, 10)
		for w, l := range n.logs {
			ns[0].logs[w] = l
			ns[1].logs[w] = l
		}
	}
	for range 10 {
		ns[1].write(1, 10)
	}
	connect(ns[0], ns[1])
	awaitAll(t, ns[:2]...)
	if err := ns[0].repair(ns[1].self); err != nil {
		t.Fatal(err)
	}
	t.Logf("10 changes after an absence: %d bytes", ns[0].moved())
	if got := ns[0].moved(); got < 1000 || got > 10_000 {
		t.Errorf("10 changes after an absence cost %d bytes, want some, at most 10,000", got)
	}
}

func TestRepairErrors(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := ns[0].feed.Repair(ctx, event.PoolID{1}, ns[1].self); !errors.Is(err, pubsub.ErrUnknownPool) {
		t.Errorf("repair of a pool not joined = %v, want ErrUnknownPool", err)
	}
	if err := ns[0].feed.Repair(ctx, w.pool, ns[1].self); err == nil {
		t.Error("repair without a connection gave no error")
	}
	if err := ns[0].feed.Repair(ctx, w.pool, "nobody"); !errors.Is(err, pubsub.ErrNotMember) {
		t.Errorf("repair with a stranger = %v, want ErrNotMember", err)
	}
	if err := ns[0].feed.Join(ns[0].book); err == nil {
		t.Error("joining twice gave no error")
	}
	if err := ns[0].feed.SendReport(w.pool, make([]byte, pubsub.MaxReport+1)); err == nil {
		t.Error("a report too long gave no error")
	}
	ns[0].stop()
	if err := ns[0].feed.Repair(ctx, w.pool, ns[1].self); !errors.Is(err, pubsub.ErrStopped) {
		t.Errorf("repair after Run = %v, want ErrStopped", err)
	}
}

// Two dialled each other at once, or one came from a new address: when one of their connections goes, GossipSub forgets what
// came over the other.
func TestAConnectionOfTwoGoes(t *testing.T) {
	t.Parallel()
	ns := newWorld(t).nodes(2)
	a, b := ns[0], ns[1]
	connectTwice(t, a, b)
	meshed(t, a, b)
	for len(a.conns(b)) > 1 {
		_ = a.conns(b)[0].Close()
	}
	for range 3 {
		a.say(1, 10)
		b.say(1, 10)
		awaitAll(t, a, b)
	}
	time.Sleep(3 * time.Second) // it has been looked into
	if err := a.repair(b.self); err != nil {
		t.Fatal(err)
	}
	before := a.moved()
	for _, n := range ns {
		n.say(1, 10)
		awaitAll(t, a, b)
	}
	if now := a.moved(); now != before {
		t.Errorf("%d bytes went over repair streams, want none: GossipSub is to reach both again", now-before)
	}
}

// connectTwice leaves two connections between a and b: both dial at once, until that comes out.
func connectTwice(t *testing.T, a, b *node) {
	t.Helper()
	for late := time.After(patience); ; part(a, b) {
		var g sync.WaitGroup
		g.Go(func() { dialAgain(a, b) })
		g.Go(func() { dialAgain(b, a) })
		g.Wait()
		time.Sleep(50 * time.Millisecond)
		if len(a.conns(b)) == 2 && len(b.conns(a)) == 2 {
			return
		}
		select {
		case <-late:
			t.Fatal("the two never dialled each other at once")
		default:
		}
	}
}

// dialAgain is one try of many to connect; two that meet half-way fail both.
func dialAgain(a, b *node) {
	if s, ok := a.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(b.self)
	}
	_ = a.host.Connect(a.t.Context(), peer.AddrInfo{ID: b.self, Addrs: b.host.Addrs()})
}

func (n *node) conns(of *node) []network.Conn { return n.host.Network().ConnsToPeer(of.self) }

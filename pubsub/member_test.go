package pubsub_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/pubsub/internal/pb"
)

func TestStrangerLearnsNothing(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(2)
	s := w.node(brisk) // believes to be one of them, in vain
	for _, n := range append(ns, s) {
		s.admit(w, n.self)
	}
	s.know([]byte("no record"))
	forged := append(make([]byte, 64), '+')
	s.mu.Lock()
	s.recs[event.Hash{1}] = append(forged, s.self...)
	for h, raw := range s.recs { // nothing that proves it
		if raw[64] == '+' && string(raw[65:]) == string(s.self) && h != (event.Hash{1}) {
			delete(s.recs, h)
		}
	}
	s.mu.Unlock()
	ns[0].write(1, 10)
	connect(ns[0], ns[1])
	connect(s, ns[0])
	if err := s.repair(ns[0].self); !errors.Is(err, pubsub.ErrNotMember) {
		t.Errorf("stranger's repair = %v, want ErrNotMember", err)
	}
	meshed(t, ns...)
	for range 5 {
		ns[0].say(1, 10)
	}
	awaitAll(t, ns...)
	if got := s.seq(ns[0].me); got != 0 {
		t.Errorf("stranger has %d events", got)
	}
	for _, c := range ns[0].host.Network().ConnsToPeer(s.self) {
		for _, st := range c.GetStreams() {
			if st.Protocol() == pubsub.MeshProtocol && st.Stat().Direction == network.DirOutbound {
				t.Error("a member opened gossip to a stranger")
			}
		}
	}
}

func TestAnswersToStrangersDoNotDependOnThePool(t *testing.T) {
	w := newWorld(t)
	n := w.nodes(1)[0]
	n.write(3, 10)
	said := func(pool event.PoolID) []byte {
		h, _ := newHost(t)
		s := dial(t, h, n)
		sendFrame(t, s, helloTo(pool))
		sendFrame(t, s, &pb.Frame{Body: &pb.Frame_Records{Records: &pb.Blobs{Blobs: [][]byte{[]byte("I am one of you")}}}})
		all, err := io.ReadAll(s)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	known, unknown := said(w.pool), said(event.PoolID{7})
	if !bytes.Equal(known, unknown) || len(known) == 0 || len(known) > 16 {
		t.Errorf("answers to a stranger: %x where the pool is joined, %x where not", known, unknown)
	}
}

func TestJoinerProvesItself(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(2)
	j := w.node(brisk)
	for _, n := range append(ns, j) {
		j.admit(w, n.self)
	}
	ns[0].admit(w, j.self) // the other does not know
	ns[1].write(3, 10)
	j.write(2, 10)
	connect(j, ns[1])
	awaitAll(t, ns[1], j)
	meshed(t, ns[1], j)
}

func TestRosterSpreadsWithoutGossip(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(4)
	for i := range ns[1:] {
		connect(ns[i], ns[i+1])
	}
	meshed(t, ns...)
	other, _ := newHost(t)
	ns[0].admit(w, other.ID())
	ns[3].await(t, "the roster comes along the chain", func() bool { return ns[3].Member(other.ID()) })
}

func TestAdmittedWhileConnected(t *testing.T) {
	w := newWorld(t)
	a, j := w.node(brisk), w.node(brisk)
	a.admit(w, a.self)
	j.admit(w, j.self)
	connect(a, j)
	if err := a.repair(j.self); !errors.Is(err, pubsub.ErrNotMember) {
		t.Fatalf("repair before admission = %v", err)
	}
	rec := w.record('+', j.self)
	a.know(rec)
	j.know(rec)
	j.admit(w, a.self)
	meshed(t, a, j)
	a.say(1, 10)
	j.say(1, 10)
	awaitAll(t, a, j)
}

func TestRemovedMemberIsOutAtOnce(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(3)
	connect(ns[0], ns[1])
	connect(ns[0], ns[2])
	connect(ns[1], ns[2])
	meshed(t, ns...)
	out := ns[2]
	rec := w.record('-', out.self)
	ns[0].know(rec)
	ns[1].know(rec)
	if err := out.repair(ns[0].self); !errors.Is(err, pubsub.ErrRemoved) {
		t.Errorf("removed member's repair = %v, want ErrRemoved", err)
	}
	if err := ns[0].repair(out.self); !errors.Is(err, pubsub.ErrRemoved) {
		t.Errorf("repair with a removed member = %v, want ErrRemoved", err)
	}
	for range 10 {
		ns[0].say(1, 10)
		out.say(1, 10)
	}
	awaitAll(t, ns[:2]...)
	if err := out.repair(ns[1].self); !errors.Is(err, pubsub.ErrRemoved) {
		t.Errorf("removed member's repair = %v, want ErrRemoved", err)
	}
	if got := out.seq(ns[0].me); got != 0 {
		t.Errorf("removed member got %d events", got)
	}
	if got := ns[0].seq(out.me); got != 0 {
		t.Errorf("%d events of a removed member came in", got)
	}
}

func TestRemovalCutsAnExchange(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(2)
	ns[0].write(3000, 1000) // several batches, of which the first is held
	hold := make(chan struct{})
	ns[1].mu.Lock()
	ns[1].hold = hold
	ns[1].mu.Unlock()
	connect(ns[0], ns[1])
	ns[1].await(t, "first batch", func() bool { return ns[1].appends() > 0 })
	failed := make(chan error, 1)
	go func() { failed <- ns[1].repair(ns[0].self) }()
	ns[0].know(w.record('-', ns[1].self))
	ns[0].await(t, "the exchange ends", func() bool { _, ok := ns[0].link(ns[1].self); ns[0].nudge(); return ok })
	close(hold)
	if err := <-failed; !errors.Is(err, pubsub.ErrRemoved) {
		t.Errorf("next exchange = %v, want ErrRemoved", err)
	}
	if got, all := ns[1].seq(ns[0].me), ns[0].seq(ns[0].me); got >= all {
		t.Errorf("removed member got all %d events", got)
	}
}

func TestPoolsAreApart(t *testing.T) {
	t.Parallel()
	w, v := newWorld(t), newWorld(t)
	ns := w.nodes(2)
	connect(ns[0], ns[1])
	meshed(t, ns...)
	// The second pool comes later, with the first node alone in it; then the other is admitted.
	a := &node{book: newBook(ns[0].self, v.pool, v.admin.GetPublic()), t: t, host: ns[0].host, feed: ns[0].feed, key: ns[0].key, me: ns[0].me}
	b := &node{book: newBook(ns[1].self, v.pool, v.admin.GetPublic()), t: t, host: ns[1].host, feed: ns[1].feed, key: ns[1].key, me: ns[1].me}
	a.admit(v, a.self)
	b.admit(v, a.self)
	b.admit(v, ns[0].self)
	for _, n := range []*node{a, b} {
		if err := n.feed.Join(n.book); err != nil {
			t.Fatal(err)
		}
	}
	a.say(1, 10)
	if err := b.repair(a.self); !errors.Is(err, pubsub.ErrNotMember) {
		t.Errorf("repair by a member of another pool = %v, want ErrNotMember", err)
	}
	if got := b.seq(a.me); got != 0 {
		t.Errorf("a member of another pool got %d events", got)
	}
	rec := v.record('+', b.self)
	a.know(rec)
	b.know(rec)
	awaitAll(t, a, b)
	meshed(t, a, b)
	meshed(t, ns...)

	b.feed.Leave(v.pool)
	calls := b.appends()
	a.say(1, 10)
	ns[0].say(1, 10)
	awaitAll(t, ns...)
	if got := b.appends(); got != calls {
		t.Errorf("%d appends after leaving", got-calls)
	}
	if err := a.repair(b.self); !errors.Is(err, pubsub.ErrNotMember) {
		t.Errorf("repair with a member that left = %v, want ErrNotMember", err)
	}
}

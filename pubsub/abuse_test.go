package pubsub_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/pubsub/internal/pb"
)

func TestGarbageOnStreams(t *testing.T) {
	w := newWorld(t)
	ns := w.nodes(2)
	n, evil := ns[0], ns[1]
	evil.stop() // its host lives on, and is a member's
	hello := helloTo(w.pool)
	bomb := &pb.Frame{Body: &pb.Frame_Batch{Batch: &pb.Batch{Packed: make([]byte, 100), Size: 1 << 31}}}
	empty := &pb.Frame{Body: &pb.Frame_Have{Have: &pb.Have{Heads: make([]*pb.Head, 20_000)}}}
	for i := range empty.GetHave().Heads {
		empty.GetHave().Heads[i] = &pb.Head{}
	}
	noise := make([]byte, 1000)
	_, _ = rand.Read(noise)
	cases := map[string]func(s network.Stream){
		"nothing":        func(s network.Stream) { _ = s.CloseWrite() },
		"noise":          func(s network.Stream) { _, _ = s.Write(noise) },
		"endless length": func(s network.Stream) { _, _ = s.Write(bytes.Repeat([]byte{0xff}, 20)) },
		"huge frame":     func(s network.Stream) { _, _ = s.Write([]byte{0xff, 0xff, 0xff, 0x7f}) },
		"empty frame":    func(s network.Stream) { _, _ = s.Write([]byte{0}) },
		"short pool": func(s network.Stream) {
			sendFrame(t, s, &pb.Frame{Body: &pb.Frame_Hello{Hello: &pb.Hello{Pool: []byte("x")}}})
		},
		"batch before hello": func(s network.Stream) { sendFrame(t, s, bomb) },
		"hello, then noise":  func(s network.Stream) { sendFrame(t, s, hello); _, _ = s.Write(noise) },
		"hello twice":        func(s network.Stream) { sendFrame(t, s, hello); sendFrame(t, s, hello) },
		"too many heads":     func(s network.Stream) { sendFrame(t, s, hello); hashes(t, s); sendFrame(t, s, empty) },
		"bomb": func(s network.Stream) {
			sendFrame(t, s, hello)
			hashes(t, s)
			sendFrame(t, s, noHeads)
			sendFrame(t, s, bomb)
		},
		"records without end": func(s network.Stream) { sendFrame(t, s, hello); hashes(t, s); sendFrame(t, s, endless) },
	}
	connect(evil, n)
	for name, act := range cases {
		t.Run(name, func(t *testing.T) {
			s := dial(t, evil.host, n)
			act(s)
			_ = s.SetReadDeadline(time.Now().Add(patience))
			_, err := io.Copy(io.Discard, s)
			var late interface{ Timeout() bool }
			if errors.As(err, &late) && late.Timeout() {
				t.Error("the stream was left open")
			}
		})
	}
	good := w.node(brisk)
	for _, x := range []*node{n, good} {
		x.admit(w, good.self)
		good.admit(w, x.self)
	}
	n.write(1, 10)
	connect(good, n)
	awaitAll(t, good, n)
}

func TestStreamsOfOnePeerAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ns := w.nodes(2)
	ns[1].stop()
	connect(ns[1], ns[0])
	var open []network.Stream
	for range 10 {
		s := dial(t, ns[1].host, ns[0])
		_, _ = s.Write([]byte{1}) // a frame that never comes
		open = append(open, s)
	}
	refused := 0
	for _, s := range open {
		_ = s.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		_, err := s.Read(make([]byte, 1))
		var late interface{ Timeout() bool }
		if !errors.As(err, &late) || !late.Timeout() {
			refused++
		}
	}
	if refused != 6 {
		t.Errorf("%d of 10 open streams refused, want 6", refused)
	}
}

func TestFloodOfAMemberIsCutDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ns := w.nodes(3)
	n, good, evil := ns[0], ns[1], ns[2]
	evil.stop()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	features := func(gossip.GossipSubFeature, protocol.ID) bool { return true }
	ps, err := gossip.NewGossipSub(ctx, evil.host, gossip.WithGossipSubProtocols([]protocol.ID{pubsub.MeshProtocol}, features),
		gossip.WithPeerOutboundQueueSize(10_000), gossip.WithFloodPublish(true))
	if err != nil {
		t.Fatal(err)
	}
	topic, err := ps.Join(n.Topic())
	if err != nil {
		t.Fatal(err)
	}
	connect(n, good)
	connect(evil, n)
	meshed(t, n, good)
	n.await(t, "the flooder is in the topic", func() bool {
		raw, err := proto.Marshal(&pb.Announce{Body: &pb.Announce_Report{Report: fmt.Appendf(nil, "flood %d", time.Now().UnixNano())}})
		if err != nil || topic.Publish(ctx, raw) != nil {
			t.Fatal("flooder cannot speak")
		}
		n.nudge()
		return n.report("flood") != ""
	})
	began := time.Now()
	for i := range 4000 {
		raw, _ := proto.Marshal(&pb.Announce{Body: &pb.Announce_Segment{Segment: fmt.Appendf(make([]byte, 200), "%d", i)}})
		if err := topic.Publish(ctx, raw); err != nil {
			t.Fatal(err)
		}
	}
	big := &pb.Announce{Body: &pb.Announce_Segment{Segment: make([]byte, pubsub.MaxWhole+1)}}
	raw, _ := proto.Marshal(big)
	_ = topic.Publish(ctx, raw)
	good.say(1, 10)
	n.say(1, 10)
	awaitAll(t, n, good)
	most := 400 + 200*int(time.Since(began)/time.Second+1)
	t.Logf("%d appends after 4000 messages in %v", n.appends(), time.Since(began))
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.raws) > most+10 {
		t.Errorf("%d segments of a flood of 4000 reached the log, want at most %d", len(n.raws), most)
	}
}

// What a test speaks on a raw stream.

var (
	noHeads = &pb.Frame{Body: &pb.Frame_Have{Have: &pb.Have{}}}
	endless = &pb.Frame{Body: &pb.Frame_Records{Records: &pb.Blobs{More: true}}}
)

func helloTo(pool event.PoolID) *pb.Frame {
	return &pb.Frame{Body: &pb.Frame_Hello{Hello: &pb.Hello{
		Pool: pool[:], Roster: make([]byte, 32), Heads: make([]byte, 32), Reports: make([]byte, 16), Nonce: make([]byte, 16), Fingerprint: make([]byte, 16),
	}}}
}

// hashes goes through the part about the roster, with none.
func hashes(t *testing.T, s network.Stream) {
	sendFrame(t, s, &pb.Frame{Body: &pb.Frame_Hashes{Hashes: &pb.Hashes{}}})
	sendFrame(t, s, &pb.Frame{Body: &pb.Frame_Records{Records: &pb.Blobs{}}})
}

func sendFrame(t *testing.T, s network.Stream, f *pb.Frame) {
	t.Helper()
	raw, err := proto.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = frame.Write(s, raw) // the other side may have hung up already
}

func dial(t *testing.T, h interface {
	Connect(context.Context, peer.AddrInfo) error
	NewStream(context.Context, peer.ID, ...protocol.ID) (network.Stream, error)
}, n *node,
) network.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.Connect(ctx, peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	s, err := h.NewStream(ctx, n.host.ID(), pubsub.HeadsProtocol)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

package pubsub

import (
	"maps"
	"sync"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	gossippb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"
	"golang.org/x/time/rate"
)

const (
	maxTopics = 64  // topics that one peer may be in
	maxTopic  = 128 // bytes of a topic's name

	// Messages a second, and at once: what a peer may hand us, its own and others', and what one author may say in one pool.
	peerRate, peerBurst     = 1000, 2000
	authorRate, authorBurst = 100, 400
)

// gate keeps strangers out of GossipSub: it is its blacklist (who shares no pool with us is not spoken to at all), its
// subscription filter (who shares another pool with us is not in this one's topic, and gets nothing of it by flooding either), and
// its inspector (size, member and rate before any signature is checked).
type gate struct {
	f *Feed

	mu    sync.Mutex
	peers map[peer.ID]*guest
}

// guest is a connected peer. topics are those it announced; true where it was let in.
type guest struct {
	topics map[string]bool
	bucket *rate.Limiter
}

func newGate(f *Feed) *gate { return &gate{f: f, peers: map[peer.ID]*guest{}} }

func (g *gate) guestLocked(p peer.ID) *guest {
	v := g.peers[p]
	if v == nil {
		v = &guest{topics: map[string]bool{}, bucket: rate.NewLimiter(peerRate, peerBurst)}
		g.peers[p] = v
	}
	return v
}

// Add does nothing: the roster alone says who is out. GossipSub calls it when it is told to drop a peer.
func (g *gate) Add(peer.ID) bool { return true }

// Contains tells GossipSub whom to shun.
func (g *gate) Contains(p peer.ID) bool { return p != g.f.host.ID() && !g.f.known(p) }

// admits tells whether p may take part in a topic.
func (g *gate) admits(p peer.ID, topic string) bool {
	r := g.f.roomOf(topic)
	return r != nil && r.log.Member(p)
}

// CanSubscribe lets the feed itself into the topics of joined pools.
func (g *gate) CanSubscribe(topic string) bool { return g.f.roomOf(topic) != nil }

// FilterIncomingSubscriptions lets members into the topics of their pools. Strangers are let in as well, for GossipSub has no
// stream to them: so nothing has to be said again when they are admitted.
func (g *gate) FilterIncomingSubscriptions(p peer.ID, subs []*gossippb.RPC_SubOpts) ([]*gossippb.RPC_SubOpts, error) {
	if len(subs) > maxTopics {
		return nil, gossip.ErrTooManySubscriptions
	}
	known := g.f.known(p)
	var in []*gossippb.RPC_SubOpts
	for _, s := range subs {
		topic := s.GetTopicid()
		ok := !known || g.f.roomOf(topic) == nil || g.admits(p, topic)
		if g.note(p, topic, s.GetSubscribe(), ok) {
			in = append(in, s)
		}
	}
	return in, nil
}

// note remembers what p announced, and whether it was let in, which comes back.
func (g *gate) note(p peer.ID, topic string, subscribe, ok bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.guestLocked(p)
	if !subscribe {
		delete(v.topics, topic)
		return true
	}
	if _, was := v.topics[topic]; len(topic) > maxTopic || !was && len(v.topics) >= maxTopics {
		return false
	}
	v.topics[topic] = ok
	return ok
}

// announced gives the topics that p asked for, and whether it was let in.
func (g *gate) announced(p peer.ID) map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.peers[p]; v != nil {
		return maps.Clone(v.topics)
	}
	return nil
}

// wrong tells whether p is in a topic that it does not belong in, or was kept out of one that it does.
func (g *gate) wrong(p peer.ID) bool {
	for topic, in := range g.announced(p) {
		if g.f.roomOf(topic) != nil && in != g.admits(p, topic) {
			return true
		}
	}
	return false
}

// restart forgets what p announced: it is to be announced anew.
func (g *gate) restart(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.peers[p]; v != nil {
		clear(v.topics)
	}
}

// gone forgets a peer that is no longer connected.
func (g *gate) gone(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.peers, p)
}

// inspect drops messages that are too long, not for us, not from and by members, or too many, before their signatures cost time.
func (g *gate) inspect(p peer.ID, rpc *gossip.RPC) error {
	if len(rpc.Publish) == 0 {
		return nil
	}
	keep := rpc.Publish[:0]
	for _, m := range rpc.Publish {
		if g.bearable(p, m) {
			keep = append(keep, m)
		}
	}
	rpc.Publish = keep
	return nil
}

func (g *gate) bearable(p peer.ID, m *gossippb.Message) bool {
	if len(m.GetData()) > maxGossip || !g.admits(p, m.GetTopic()) || !g.admits(peer.ID(m.GetFrom()), m.GetTopic()) {
		return false
	}
	g.mu.Lock()
	b := g.guestLocked(p).bucket
	g.mu.Unlock()
	return b.Allow()
}

// messageID names a message by its contents and its author, so that a second member may say the same again.
func messageID(m *gossippb.Message) string {
	h := blake3.New()
	for _, part := range [][]byte{[]byte(m.GetTopic()), m.GetFrom(), m.GetData()} {
		var n [4]byte
		n[0], n[1], n[2], n[3] = byte(len(part)), byte(len(part)>>8), byte(len(part)>>16), byte(len(part)>>24)
		_, _ = h.Write(n[:]) // a hash takes all
		_, _ = h.Write(part)
	}
	return string(h.Sum(nil)[:20])
}

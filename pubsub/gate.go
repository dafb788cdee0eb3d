package pubsub

import (
	"sync"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	gossippb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"
	"golang.org/x/time/rate"
)

const (
	maxTopics = 64 // topics remembered of one peer

	// Messages a second, and at once: what a peer may hand us, its own and others', and what one author may say in one pool.
	peerRate, peerBurst     = 1000, 2000
	authorRate, authorBurst = 200, 400
)

// gate keeps strangers out of GossipSub: it is its blacklist (who shares no pool with us is not spoken to at all), its
// subscription filter (who is in no topic gets nothing of it, also by flooding), its inspector (size, member and rate before any
// signature is checked) and its validator.
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

// FilterIncomingSubscriptions lets members into the topics of their pools, and remembers who asked in vain.
func (g *gate) FilterIncomingSubscriptions(p peer.ID, subs []*gossippb.RPC_SubOpts) ([]*gossippb.RPC_SubOpts, error) {
	if len(subs) > maxTopics {
		return nil, gossip.ErrTooManySubscriptions
	}
	var in []*gossippb.RPC_SubOpts
	for _, s := range subs {
		ok := g.admits(p, s.GetTopicid())
		g.note(p, s.GetTopicid(), s.GetSubscribe(), ok)
		if ok || !s.GetSubscribe() {
			in = append(in, s)
		}
	}
	return in, nil
}

func (g *gate) note(p peer.ID, topic string, subscribe, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.guestLocked(p)
	if !subscribe {
		delete(v.topics, topic)
		return
	}
	if _, known := v.topics[topic]; known || len(v.topics) < maxTopics {
		v.topics[topic] = ok
	}
}

// changed tells what the roster of a topic's pool has changed for p since it subscribed. It forgets what p announced where
// that has to be announced anew.
func (g *gate) changed(p peer.ID, topic string) (entered, left bool) {
	ok := g.admits(p, topic)
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.peers[p]
	if v == nil {
		return false, false
	}
	was, asked := v.topics[topic]
	if !asked || was == ok {
		return false, false
	}
	clear(v.topics)
	return ok, was
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

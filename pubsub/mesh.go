package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	coreevent "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	maxRPC      = 64 << 10
	gossipQueue = 256
	quiet       = time.Second // after streams were ended, before ours is opened again
)

// mesh is the one GossipSub router of a feed.
type mesh struct {
	f     *Feed
	ps    *gossip.PubSub
	stop  context.CancelFunc
	again coreevent.Emitter

	mu   sync.Mutex
	held map[peer.ID]time.Time // not to be greeted until then
}

func openMesh(f *Feed) (*mesh, error) {
	again, err := f.host.EventBus().Emitter(new(coreevent.EvtPeerProtocolsUpdated))
	if err != nil {
		return nil, err
	}
	// Not Run's ctx: topics are left, and that is told, after it has ended.
	ctx, stop := context.WithCancel(context.Background())
	ps, err := gossip.NewGossipSub(ctx, discreet{f.host}, f.gate.options()...)
	if err != nil {
		stop()
		_ = again.Close() // nothing was emitted
		return nil, err
	}
	return &mesh{f: f, ps: ps, stop: stop, again: again, held: map[peer.ID]time.Time{}}, nil
}

func (g *gate) options() []gossip.Option {
	mute := slog.New(slog.DiscardHandler)
	return []gossip.Option{
		gossip.WithGossipSubProtocols([]protocol.ID{MeshProtocol}, features),
		gossip.WithMessageSignaturePolicy(gossip.StrictSign),
		gossip.WithMessageIdFn(messageID),
		gossip.WithFloodPublish(true),
		gossip.WithPeerFilter(g.admits),
		gossip.WithBlacklist(g),
		gossip.WithSubscriptionFilter(g),
		gossip.WithAppSpecificRpcInspector(g.inspect),
		gossip.WithMaxMessageSize(maxRPC),
		gossip.WithMaxControlMessageSize(maxRPC),
		gossip.WithPeerOutboundQueueSize(gossipQueue),
		gossip.WithValidateQueueSize(gossipQueue),
		gossip.WithValidateWorkers(1), // more would put an author's segments out of order, and each time make a gap
		gossip.WithRawTracer(&tracer{f: g.f}),
		gossip.WithLogger(mute),
		gossip.WithRPCLogger(mute),
	}
}

func features(feat gossip.GossipSubFeature, p protocol.ID) bool {
	return p == MeshProtocol && (feat == gossip.GossipSubFeatureMesh || feat == gossip.GossipSubFeatureIdontwant)
}

// close ends the router and its streams.
func (m *mesh) close() {
	m.stop()
	m.f.host.RemoveStreamHandler(MeshProtocol)
	for _, p := range m.f.host.Network().Peers() {
		m.resetStreams(p, network.DirInbound)
		m.resetStreams(p, network.DirOutbound)
	}
	_ = m.again.Close() // nobody waits for more
}

func (m *mesh) resetStreams(p peer.ID, d network.Direction) {
	for _, c := range m.f.host.Network().ConnsToPeer(p) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == MeshProtocol && s.Stat().Direction == d {
				_ = s.Reset() // it is to be gone, and is
			}
		}
	}
}

// enter joins a room's topic.
func (m *mesh) enter(r *room) (*gossip.Topic, *gossip.Subscription, error) {
	if err := m.ps.RegisterTopicValidator(r.topic, r.validate, gossip.WithValidatorInline(true)); err != nil {
		return nil, nil, fmt.Errorf("validate topic: %w", err)
	}
	t, err := m.ps.Join(r.topic)
	if err != nil {
		_ = m.ps.UnregisterTopicValidator(r.topic) // the error to tell is the other
		return nil, nil, fmt.Errorf("join topic: %w", err)
	}
	s, err := t.Subscribe(gossip.WithBufferSize(gossipQueue), gossip.WithMessageFilter(m.foreign))
	if err != nil {
		m.leave(r, t, nil)
		return nil, nil, fmt.Errorf("subscribe: %w", err)
	}
	return t, s, nil
}

func (m *mesh) foreign(msg *gossip.Message) bool { return msg.ReceivedFrom != m.f.host.ID() }

func (m *mesh) leave(r *room, t *gossip.Topic, s *gossip.Subscription) {
	if s != nil {
		s.Cancel()
	}
	// Both fail only when the router has ended, and then there is nothing to undo.
	_ = m.ps.UnregisterTopicValidator(r.topic)
	_ = t.Close()
}

// review brings p's place in GossipSub in line with the rosters of all pools: out of it when it is a member of none, in it when
// of any, and in the topics of its own. With thorough, also what GossipSub has lost by itself.
func (m *mesh) review(p peer.ID, thorough bool) {
	there := slices.Contains(m.ps.ListPeers(""), p)
	switch known := m.f.known(p); {
	case !known && there:
		m.restart(p)
	case known && (m.f.gate.wrong(p) || thorough && there && m.deaf(p)):
		m.restart(p)
	case known && !there:
		m.greet(p)
	}
}

// deaf tells whether p announced a topic that GossipSub has forgotten: it does when a stream to p dies and another connection
// to p remains, and p, whose own stream lives, does not say it again.
func (m *mesh) deaf(p peer.ID) bool {
	for topic, in := range m.f.gate.announced(p) {
		if in && m.f.gate.admits(p, topic) && !slices.Contains(m.ps.ListPeers(topic), p) {
			return true
		}
	}
	return false
}

// restart ends the streams from and to p. Its own comes back at once, with its topics, which are judged anew. Ours has to
// wait until p has noticed that its stream died, for with that it forgets what we told it.
func (m *mesh) restart(p peer.ID) {
	if !m.hold(p) && m.f.known(p) {
		return // under way
	}
	m.f.gate.restart(p)
	m.ps.BlacklistPeer(p)
	m.resetStreams(p, network.DirInbound)
	for _, r := range m.f.all() {
		if r.log.Member(p) {
			time.AfterFunc(quiet, r.refresh.poke)
			r.agenda.touch(p, time.Now().Add(quiet+quiet/2))
		}
	}
}

// hold keeps p from being greeted for a while; false while it is.
func (m *mesh) hold(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(m.held, func(_ peer.ID, until time.Time) bool { return !now.Before(until) })
	if _, ok := m.held[p]; ok {
		return false
	}
	m.held[p] = now.Add(quiet)
	return true
}

func (m *mesh) holding(p peer.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.held[p])
}

// greet has GossipSub open its stream to a member that it has none to: it was a stranger when it connected, or the stream failed.
func (m *mesh) greet(p peer.ID) {
	if m.f.host.Network().Connectedness(p) != network.Connected || m.holding(p) {
		return
	}
	if ok, err := m.f.host.Peerstore().SupportsProtocols(p, MeshProtocol); err != nil || len(ok) == 0 {
		return
	}
	_ = m.again.Emit(coreevent.EvtPeerProtocolsUpdated{Peer: p, Added: []protocol.ID{MeshProtocol}}) // fails only when closed
}

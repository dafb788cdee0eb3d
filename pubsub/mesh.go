package pubsub

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	coreevent "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	maxRPC      = 64 << 10
	gossipQueue = 256
)

// mesh is the one GossipSub router of a feed.
type mesh struct {
	f     *Feed
	ps    *gossip.PubSub
	stop  context.CancelFunc
	again coreevent.Emitter
}

func openMesh(f *Feed) (*mesh, error) {
	again, err := f.host.EventBus().Emitter(new(coreevent.EvtPeerProtocolsUpdated))
	if err != nil {
		return nil, err
	}
	// Not Run's ctx: topics are left, and that is told, after it has ended.
	ctx, stop := context.WithCancel(context.Background())
	ps, err := gossip.NewGossipSub(ctx, f.host, f.gate.options()...)
	if err != nil {
		stop()
		_ = again.Close() // nothing was emitted
		return nil, err
	}
	return &mesh{f: f, ps: ps, stop: stop, again: again}, nil
}

func (g *gate) options() []gossip.Option {
	quiet := slog.New(slog.DiscardHandler)
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
		gossip.WithRawTracer(&tracer{f: g.f}),
		gossip.WithLogger(quiet),
		gossip.WithRPCLogger(quiet),
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

// review brings p's place in a room's topic in line with the roster. Subscriptions cannot be taken back or
// given by us: a stream is ended instead, and what follows on it is judged anew.
func (m *mesh) review(r *room, p peer.ID) {
	entered, left := m.f.gate.changed(p, r.topic)
	if left || !m.f.known(p) {
		m.ps.BlacklistPeer(p)
	}
	if entered || left {
		m.resetStreams(p, network.DirInbound)
	}
	m.greet(p)
}

// greet has GossipSub open its stream to a member that it has none to: it was a stranger when it connected, or the stream failed.
func (m *mesh) greet(p peer.ID) {
	if !m.f.known(p) || m.f.host.Network().Connectedness(p) != network.Connected || slices.Contains(m.ps.ListPeers(""), p) {
		return
	}
	if ok, err := m.f.host.Peerstore().SupportsProtocols(p, MeshProtocol); err != nil || len(ok) == 0 {
		return
	}
	_ = m.again.Emit(coreevent.EvtPeerProtocolsUpdated{Peer: p, Added: []protocol.ID{MeshProtocol}}) // fails only when closed
}

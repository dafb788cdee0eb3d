package pubsub

import (
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const dropPause = 200 * time.Millisecond

// tracer hears what GossipSub drops for want of room, which nothing else tells, and has it repaired.
type tracer struct{ f *Feed }

func (t *tracer) lost(topic string, p peer.ID) {
	if r := t.f.roomOf(topic); r != nil && r.log.Member(p) {
		r.agenda.ask(p, time.Now().Add(dropPause))
	}
}

// UndeliverableMessage is called when the listener was too slow.
func (t *tracer) UndeliverableMessage(m *gossip.Message) { t.lost(m.GetTopic(), m.ReceivedFrom) }

// RejectMessage is called for each message that is not forwarded.
func (t *tracer) RejectMessage(m *gossip.Message, reason string) {
	if reason == gossip.RejectValidationQueueFull || reason == gossip.RejectValidationThrottled {
		t.lost(m.GetTopic(), m.ReceivedFrom)
	}
}

// DropRPC is called when the queue to a peer is full.
func (t *tracer) DropRPC(rpc *gossip.RPC, p peer.ID) {
	for _, m := range rpc.GetPublish() {
		t.lost(m.GetTopic(), p)
	}
}

func (t *tracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (t *tracer) OnClosedOutboundStream(peer.ID)           {}
func (t *tracer) Join(string)                              {}
func (t *tracer) Leave(string)                             {}
func (t *tracer) Graft(peer.ID, string)                    {}
func (t *tracer) Prune(peer.ID, string)                    {}
func (t *tracer) ValidateMessage(*gossip.Message)          {}
func (t *tracer) DeliverMessage(*gossip.Message)           {}
func (t *tracer) DuplicateMessage(*gossip.Message)         {}
func (t *tracer) ThrottlePeer(peer.ID)                     {}
func (t *tracer) RecvRPC(*gossip.RPC)                      {}
func (t *tracer) SendRPC(*gossip.RPC, peer.ID)             {}

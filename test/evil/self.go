package main

import (
	"context"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/node"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/store"
)

// self is who the adversary is, and what it knows.
type self struct {
	o       options
	home    *node.Home
	key     crypto.PrivKey
	host    host.Host
	pool    *store.Pool
	roster  *pool.Roster
	targets []peer.AddrInfo
	topic   *gossip.Topic
	log     *forger // of an epoch of its own

	mu    sync.Mutex
	sizes map[chunker.ID]uint32 // of chunks that were announced
	block map[chunker.ID][]byte // manifest blocks that it serves

	sent, served, refused atomic.Int64
}

// enter becomes the node of o.home and connects to the targets.
func enter(ctx context.Context, o options) (*self, error) {
	s := &self{o: o, sizes: map[chunker.ID]uint32{}, block: map[chunker.ID][]byte{}}
	err := s.identity()
	if err == nil {
		err = s.connect(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// identity takes key and pool from the home; a stranger has neither.
func (s *self) identity() (err error) {
	if s.o.kind == "stranger" {
		s.key, _, err = crypto.GenerateEd25519Key(crand.Reader)
		return err
	}
	if s.home, err = node.OpenHome(node.HomeConfig{Dir: s.o.home}); err != nil {
		return err
	}
	s.key = s.home.Key()
	pools := s.home.Pools()
	if len(pools) == 0 {
		return fmt.Errorf("the node of %s is in no pool", s.o.home)
	}
	if s.pool, err = s.home.DB().Pool(pools[0].ID); err != nil {
		return err
	}
	if s.roster = s.pool.Roster(); s.roster == nil {
		return errors.New("the pool has no roster")
	}
	s.log = s.newLog()
	return nil
}

// newLog is a log that nobody has seen yet.
func (s *self) newLog() *forger {
	id, _ := peer.IDFromPrivateKey(s.key) // the key has signed before
	return &forger{
		key: s.key, pool: s.roster.ID(),
		head: event.Head{Writer: event.Writer{Node: id, Epoch: uint64(time.Now().UnixMilli()) << 16}},
	}
}

func (s *self) connect(ctx context.Context) (err error) {
	s.host, err = libp2p.New(libp2p.Identity(s.key), libp2p.DisableMetrics(), libp2p.ResourceManager(nil),
		libp2p.ListenAddrStrings("/ip4/0.0.0.0/tcp/0"))
	if err != nil {
		return err
	}
	for _, a := range []string{s.o.target, s.o.other} {
		if a == "" {
			continue
		}
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		s.targets = append(s.targets, *info)
	}
	if s.pool != nil {
		s.host.SetStreamHandler(pubsub.HeadsProtocol, s.agree)
		if err := s.gossip(ctx); err != nil {
			return err
		}
	}
	for _, t := range s.targets {
		if err := s.host.Connect(ctx, t); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
	}
	return nil
}

// gossip joins the pool's topic.
func (s *self) gossip(ctx context.Context) error {
	ps, err := gossip.NewGossipSub(ctx, s.host,
		gossip.WithGossipSubProtocols([]protocol.ID{pubsub.MeshProtocol}, func(f gossip.GossipSubFeature, _ protocol.ID) bool {
			return f == gossip.GossipSubFeatureMesh
		}),
		gossip.WithFloodPublish(true), gossip.WithPeerOutboundQueueSize(4096), gossip.WithMessageIdFn(gossip.DefaultMsgIdFn))
	if err != nil {
		return err
	}
	secret := s.roster.Secret()
	m := hmac.New(sha256.New, secret[:])
	_, _ = io.WriteString(m, "meerkat topic v1") // a hash takes all
	if s.topic, err = ps.Join(hex.EncodeToString(m.Sum(nil))); err != nil {
		return err
	}
	sub, err := s.topic.Subscribe()
	if err != nil {
		return err
	}
	go s.hear(ctx, sub) // ends with ctx
	return nil
}

// hear learns the sizes of chunks from what honest members announce.
func (s *self) hear(ctx context.Context, sub *gossip.Subscription) {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if raw := field(m.Data, annSegment); raw != nil {
			s.learn(raw)
		}
	}
}

func (s *self) learn(raw []byte) {
	seg, err := event.OpenSegment(s.roster.ID(), raw)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range seg.Leaves {
		for _, c := range l.Event.Value.Chunks {
			s.sizes[c.ID] = c.Size
		}
	}
}

// others are the members besides this one.
func (s *self) others() []peer.ID {
	var out []peer.ID
	for _, m := range s.roster.Members() {
		if m.ID != s.host.ID() {
			out = append(out, m.ID)
		}
	}
	return out
}

// announce gossips a segment, whatever its size.
func (s *self) announce(ctx context.Context, raw []byte) {
	s.publish(ctx, put(nil, annSegment, raw))
}

func (s *self) publish(ctx context.Context, data []byte) {
	if s.topic.Publish(ctx, data) == nil {
		s.sent.Add(1)
	} else {
		s.refused.Add(1)
	}
}

func (s *self) say(f string, args ...any) { fmt.Fprintf(os.Stderr, "meerkat-evil: "+f+"\n", args...) }

func (s *self) tally() string {
	return fmt.Sprintf("%d sent, %d failed or refused, %d wrong answers served", s.sent.Load(), s.refused.Load(), s.served.Load())
}

func (s *self) close() error {
	var err error
	if s.host != nil {
		err = s.host.Close()
	}
	if s.home != nil {
		err = errors.Join(err, s.home.Close())
	}
	return err
}

// every calls f again and again until ctx ends, with a pause in between.
func every(ctx context.Context, pause time.Duration, f func()) {
	for ctx.Err() == nil {
		f()
		if pause == 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

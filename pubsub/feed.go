package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// Feed speaks for all pools of a node. Its methods may be called by many goroutines at once, before, while and after Run runs.
type Feed struct {
	host host.Host
	conf Config
	log  *slog.Logger
	pack *packer
	gate *gate
	door *door

	calls *paces // exchanges that others begin

	nudge nudge // rooms changed

	exchanges, in, out atomic.Int64

	mu     sync.RWMutex
	rooms  map[event.PoolID]*room
	topics map[string]*room
}

// Join has the feed speak for a pool, at once if Run runs, else from its start. An error when the pool, or another pool of
// the same topic, is there already.
func (f *Feed) Join(l Log) error {
	id, topic := l.ID(), l.Topic()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rooms[id] != nil || f.topics[topic] != nil {
		return fmt.Errorf("join pool %s: joined already", id)
	}
	r := newRoom(f, l)
	f.rooms[id], f.topics[topic] = r, r
	f.nudge.poke()
	return nil
}

// Leave ends the feed's work for a pool and returns when all of it has ended: no call into its Log is made afterwards.
// It does nothing when the pool is not joined. It must not be called from inside a Log's method.
func (f *Feed) Leave(pool event.PoolID) {
	f.mu.Lock()
	r := f.rooms[pool]
	if r != nil {
		delete(f.rooms, pool)
		delete(f.topics, r.topic)
	}
	f.mu.Unlock()
	if r != nil {
		r.end()
	}
}

// Announce tells the members of a new segment of our own that the Log holds: whole up to MaxWhole bytes, else by its head. It only
// queues, and never blocks; a pool that is not joined is ignored. Members behind a limited connection, which GossipSub
// does not use, get an exchange instead.
func (f *Feed) Announce(pool event.PoolID, seg event.Segment) {
	if r := f.room(pool); r != nil {
		r.announce(seg)
	}
}

// SendReport gossips a presence report of at most MaxReport bytes; a longer one is refused. It only queues: while one waits,
// a newer one takes its place.
func (f *Feed) SendReport(pool event.PoolID, raw []byte) error {
	r := f.room(pool)
	if r == nil {
		return fmt.Errorf("send report: %w", ErrUnknownPool)
	}
	if len(raw) > MaxReport {
		return fmt.Errorf("send report: %d bytes, at most %d", len(raw), MaxReport)
	}
	r.out.report(raw)
	return nil
}

// Repair compares with p now, both ways, and returns when both sides have what the other had. An exchange with p that begins
// after the call counts, so that many callers share one. It needs a connection (it dials nobody) and a running feed.
func (f *Feed) Repair(ctx context.Context, pool event.PoolID, p peer.ID) error {
	r := f.room(pool)
	if r == nil {
		return fmt.Errorf("repair with %s: %w", p, ErrUnknownPool)
	}
	select {
	case err := <-r.agenda.wait(p, time.Now()):
		return err
	case <-r.gone:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Refresh tells the feed that the pool's roster changed: those who are no members any more lose their streams and the topic,
// new ones get both. It only nudges; until it is heeded, messages and batches are judged by Member one by one anyway.
func (f *Feed) Refresh(pool event.PoolID) {
	if r := f.room(pool); r != nil {
		r.refresh.poke()
	}
}

func (f *Feed) room(id event.PoolID) *room {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.rooms[id]
}

func (f *Feed) roomOf(topic string) *room {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.topics[topic]
}

func (f *Feed) all() []*room {
	f.mu.RLock()
	defer f.mu.RUnlock()
	rs := make([]*room, 0, len(f.rooms))
	for _, r := range f.rooms {
		rs = append(rs, r)
	}
	return rs
}

// doubtMesh has all rooms look whether GossipSub still knows what the members announced.
func (f *Feed) doubtMesh() {
	for _, r := range f.all() {
		r.doubtMesh()
	}
}

// known tells whether p is a member of any joined pool.
func (f *Feed) known(p peer.ID) bool {
	for _, r := range f.all() {
		if r.log.Member(p) {
			return true
		}
	}
	return false
}

// Run speaks until ctx ends, and returns when all that it started has ended: nil then, else what kept it from starting. It may
// be called once.
func (f *Feed) Run(ctx context.Context) error {
	m, err := openMesh(f)
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	defer m.close()
	w, err := watch(f)
	if err != nil {
		return err
	}
	var g sync.WaitGroup
	g.Go(func() { w.run(ctx) })
	f.host.SetStreamHandler(HeadsProtocol, func(s network.Stream) { f.door.serve(ctx, f, s, (*exchange).answerHeads) })
	f.host.SetStreamHandler(StateProtocol, func(s network.Stream) { f.door.serve(ctx, f, s, (*exchange).answerState) })
	f.keep(ctx, m, &g)
	f.host.RemoveStreamHandler(HeadsProtocol)
	f.host.RemoveStreamHandler(StateProtocol)
	g.Wait()
	f.door.shut()
	return nil
}

// keep starts the rooms as they come, until ctx ends.
func (f *Feed) keep(ctx context.Context, m *mesh, g *sync.WaitGroup) {
	for {
		for _, r := range f.all() {
			if !r.start() {
				continue
			}
			g.Go(func() {
				if err := r.run(ctx, m); err != nil && !errors.Is(err, context.Canceled) {
					f.log.Error("pool's feed ended", "pool", r.id, "err", err)
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-f.nudge:
		}
	}
}

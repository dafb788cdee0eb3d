package pubsub

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/bwaklog/meerkat/event"
)

const (
	visits     = 4               // exchanges that this side runs at once in one pool
	maxTries   = 6               // exchanges for one hint that the hinting side cannot fulfil yet
	bulkWindow = 3 * time.Second // how long a big exchange keeps others from bringing the same
	lazyFactor = 15              // the side that lets the other begin waits this many jitters
)

// room is one joined pool: what is to be said there, who is to be met, and what came in.
type room struct {
	f     *Feed
	log   Log
	id    event.PoolID
	topic string

	agenda  *agenda
	out     *outbox
	in      chan delivery
	refresh nudge
	ticked  atomic.Bool  // the next review is a thorough one
	limits  *paces       // announcements of each author
	bulk    atomic.Int64 // unix ns until which a big exchange is the only one to bring segments

	quit chan struct{} // closed when the room is to end
	gone chan struct{} // closed when nothing of the room runs any more

	mu      sync.Mutex
	begun   bool
	over    bool
	talks   map[*exchange]struct{}
	talking sync.WaitGroup
	wanted  map[event.Writer]event.Head // hinted, not here yet
	tries   int
	links   map[peer.ID]Link
	doubts  map[peer.ID]*doubt
	daily   time.Time // when to reconcile with somebody without cause
}

func newRoom(f *Feed, l Log) *room {
	return &room{
		f: f, log: l, id: l.ID(), topic: l.Topic(),
		agenda: newAgenda(f.conf.Retry), out: newOutbox(), in: make(chan delivery, gossipQueue), refresh: newNudge(), limits: newPaces(authorRate, authorBurst),
		quit: make(chan struct{}), gone: make(chan struct{}),
		talks: map[*exchange]struct{}{}, wanted: map[event.Writer]event.Head{}, links: map[peer.ID]Link{},
		doubts: map[peer.ID]*doubt{}, daily: time.Now().Add(rand.N(f.conf.Daily) + 1),
	}
}

// start claims the right to run the room, once.
func (r *room) start() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun || r.over {
		return false
	}
	r.begun = true
	return true
}

// end has the room end and waits for it.
func (r *room) end() {
	r.mu.Lock()
	idle := !r.begun && !r.over
	r.overLocked()
	r.mu.Unlock()
	if idle {
		r.agenda.close(ErrStopped)
		close(r.gone)
	}
	<-r.gone
}

func (r *room) overLocked() {
	if !r.over {
		r.over = true
		close(r.quit)
	}
}

// run keeps the room until ctx or the room ends.
func (r *room) run(ctx context.Context, m *mesh) error {
	defer close(r.gone)
	defer r.agenda.close(ErrStopped)
	defer r.hush()
	t, s, err := m.enter(r)
	if err != nil {
		return err
	}
	defer m.leave(r, t, s)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.untilQuit(ctx) })
	g.Go(func() error { return r.listen(ctx, s) })
	g.Go(func() error { return r.take(ctx) })
	g.Go(func() error { return r.speak(ctx, m, t) })
	g.Go(func() error { return r.meet(ctx) })
	r.greetAll(m)
	return g.Wait()
}

func (r *room) untilQuit(ctx context.Context) error {
	select {
	case <-r.quit:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hush ends all exchanges and lets no more in.
func (r *room) hush() {
	r.mu.Lock()
	r.overLocked()
	for x := range r.talks {
		x.cut()
	}
	r.mu.Unlock()
	r.talking.Wait()
}

// enter registers an exchange; false when the room has ended.
func (r *room) enter(x *exchange) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.talks[x] = struct{}{}
	r.talking.Add(1)
	return true
}

func (r *room) exit(x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.talks, x)
	r.talking.Done()
}

// connected lists the other members that a connection leads to, of any kind.
func (r *room) connected() []peer.ID {
	var ps []peer.ID
	for _, p := range r.f.host.Network().Peers() {
		if r.log.Member(p) {
			ps = append(ps, p)
		}
	}
	return ps
}

func (r *room) limited(p peer.ID) bool {
	return r.f.host.Network().Connectedness(p) == network.Limited
}

func (r *room) greetAll(m *mesh) {
	for _, p := range r.f.host.Network().Peers() {
		m.review(p, false)
		r.arrived(p)
	}
}

// arrived plans the first exchange with a peer that has just connected. Both sides do: the one with the smaller id goes first,
// the other only when nothing came of it.
func (r *room) arrived(p peer.ID) {
	if !r.log.Member(p) {
		return
	}
	wait := time.Duration(rand.Int64N(int64(r.f.conf.Jitter) + 1))
	if r.f.host.ID() > p {
		wait += lazyFactor * r.f.conf.Jitter
	}
	r.agenda.touch(p, time.Now().Add(wait))
}

// reviewAll puts everybody in the place that the roster now gives him, and passes the roster on where it is not the one last
// seen.
func (r *room) reviewAll(m *mesh, roster *event.Hash) {
	thorough := r.ticked.Swap(false)
	r.mu.Lock()
	for x := range r.talks {
		if x.admitted.Load() && !r.log.Member(x.peer) {
			x.cut()
		}
	}
	r.mu.Unlock()
	for _, p := range r.f.host.Network().Peers() {
		m.review(p, thorough)
		if r.log.Member(p) && !r.met(p) {
			r.arrived(p)
		}
	}
	r.limits.keep(r.log.Member)
	if now := r.log.RosterDigest(); now != *roster {
		*roster = now
		r.spread()
	}
}

// announce queues an own segment, and an exchange with those whom gossip does not reach.
func (r *room) announce(s event.Segment) {
	r.out.segment(s)
	r.visitLimited("")
}

// visitLimited plans an exchange with the members behind limited connections, except one.
func (r *room) visitLimited(but peer.ID) {
	for _, p := range r.connected() {
		if p != but && r.limited(p) {
			r.agenda.ask(p, time.Now().Add(r.f.conf.Jitter))
		}
	}
}

// visitUnreached plans an exchange with the members that have a whole connection and that GossipSub does not reach: they have
// only just come, or it lost its stream to them, and has that looked into.
func (r *room) visitUnreached(t *gossip.Topic) {
	reached := t.ListPeers()
	for _, p := range r.connected() {
		if r.limited(p) || slices.Contains(reached, p) {
			continue
		}
		r.agenda.ask(p, time.Now().Add(r.f.conf.Jitter))
		r.doubtMesh()
	}
}

// doubtMesh has the next review compare what GossipSub knows of all members with what they announced.
func (r *room) doubtMesh() {
	r.ticked.Store(true)
	r.refresh.poke()
}

// speak publishes what is queued, and heeds the roster before it.
func (r *room) speak(ctx context.Context, m *mesh, t *gossip.Topic) error {
	pace := rate.NewLimiter(sendRate, sendBurst)
	roster := r.log.RosterDigest()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.refresh:
			r.reviewAll(m, &roster)
		case <-r.out.wake:
			if err := r.drain(ctx, m, t, pace, &roster); err != nil {
				return err
			}
		}
	}
}

func (r *room) drain(ctx context.Context, m *mesh, t *gossip.Topic, pace *rate.Limiter, roster *event.Hash) error {
	for !r.out.empty() {
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		select {
		case <-r.refresh:
			r.reviewAll(m, roster)
		default:
		}
		msg := r.out.next()
		raw, err := encodeGossip(msg)
		if err != nil {
			return err
		}
		if err := t.Publish(ctx, raw); err != nil && ctx.Err() == nil {
			r.f.log.Debug("publish", "pool", r.id, "err", err) // repair brings what this did not
		}
	}
	r.visitUnreached(t)
	return nil
}

// meet runs the exchanges of the agenda, and now and then one with a random member.
func (r *room) meet(ctx context.Context) error {
	var g sync.WaitGroup
	defer g.Wait()
	slots := make(chan struct{}, visits)
	tick := time.NewTimer(r.period())
	defer tick.Stop()
	for {
		for _, p := range r.agenda.take(time.Now(), r.free(slots)) {
			slots <- struct{}{}
			g.Go(func() { defer func() { <-slots }(); r.visit(ctx, p) })
		}
		due := time.NewTimer(r.untilNext())
		select {
		case <-ctx.Done():
		case <-r.agenda.wake:
		case <-due.C:
		case <-tick.C:
			r.touchRandom()
			r.doubtMesh() // whoever GossipSub lost without our knowledge comes back
			tick.Reset(r.period())
		}
		due.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// free tells how many more exchanges may begin. While one brings a lot, the others would only bring it again.
func (r *room) free(slots chan struct{}) int {
	if r.busy() && len(slots) > 0 {
		return 0
	}
	return cap(slots) - len(slots)
}

func (r *room) busy() bool { return time.Now().UnixNano() < r.bulk.Load() }

func (r *room) untilNext() time.Duration {
	at, ok := r.agenda.next()
	if !ok {
		return time.Hour
	}
	return max(time.Until(at), 10*time.Millisecond) // due already, but no slot free: the exchange that ends wakes us before
}

func (r *room) period() time.Duration {
	return r.f.conf.Every/2 + time.Duration(rand.Int64N(int64(r.f.conf.Every)+1))
}

func (r *room) touchRandom() {
	ps := r.connected()
	if len(ps) == 0 {
		return
	}
	p := ps[rand.IntN(len(ps))]
	if now := time.Now(); now.After(r.daily) {
		r.daily = now.Add(r.f.conf.Daily/2 + rand.N(r.f.conf.Daily))
		r.force(p)
	}
	r.agenda.touch(p, time.Now())
}

// visit runs one exchange that this side begins.
func (r *room) visit(ctx context.Context, p peer.ID) {
	whole, err := r.call(ctx, p)
	if whole {
		err = cmp.Or(err, r.settle(ctx, p))
	}
	if err != nil && ctx.Err() != nil {
		err = ErrStopped
	}
	again := ctx.Err() == nil && r.log.Member(p) && r.f.host.Network().Connectedness(p) != network.NotConnected
	r.agenda.done(p, err, time.Now(), again)
	switch {
	case err == nil:
		r.pursue(p)
	case errors.Is(err, ErrRemoved), errors.Is(err, ErrNotMember):
		r.log.Refused(p, err)
	}
}

// departed forgets what was planned with a peer that is gone.
func (r *room) departed(p peer.ID) {
	r.agenda.forget(p)
	r.mu.Lock()
	delete(r.links, p)
	delete(r.doubts, p)
	r.mu.Unlock()
}

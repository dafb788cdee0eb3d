package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	perPeer       = 4               // exchanges that one peer may have open here
	strangers     = 4               // exchanges with peers that have to prove themselves, all together
	strangerPause = 2 * time.Second // between two such of one peer, after a failure
	maxRefused    = 1024            // peers remembered for that
)

// door counts who is in, so that nobody holds more of this node than his part.
type door struct {
	max int

	mu      sync.Mutex
	closed  bool
	total   int
	in      map[peer.ID]int
	proving int
	refused map[peer.ID]time.Time
	all     sync.WaitGroup
}

func newDoor(max int) *door {
	return &door{max: max, in: map[peer.ID]int{}, refused: map[peer.ID]time.Time{}}
}

func (d *door) enter(p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.total >= d.max || d.in[p] >= perPeer {
		return false
	}
	d.total++
	d.in[p]++
	d.all.Add(1)
	return true
}

func (d *door) leave(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.in[p]--; d.in[p] == 0 {
		delete(d.in, p)
	}
	d.all.Done()
}

// prove lets a stranger try to prove that he is a member; end tells how it went.
func (d *door) prove(p peer.ID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proving >= strangers || now.Before(d.refused[p]) {
		return false
	}
	d.proving++
	return true
}

func (d *door) proved(p peer.ID, ok bool, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proving--
	if ok {
		delete(d.refused, p)
		return
	}
	for q, at := range d.refused {
		if len(d.refused) < maxRefused || now.Before(at) {
			continue
		}
		delete(d.refused, q)
	}
	if len(d.refused) < maxRefused {
		d.refused[p] = now.Add(strangerPause)
	}
}

// shut lets nobody in any more and waits for those inside.
func (d *door) shut() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.all.Wait()
}

// turnAway ends a stream of a peer that begins too many.
func (f *Feed) turnAway(s network.Stream, tell bool) {
	_ = s.Reset() // refused without a word
	if !tell {
		return
	}
	p := s.Conn().RemotePeer()
	for _, r := range f.all() {
		if r.log.Member(p) {
			f.blame(r.id, p, fmt.Errorf("%w: exchanges", ErrFlood))
			return
		}
	}
}

// serve answers one stream with answer.
func (d *door) serve(ctx context.Context, f *Feed, s network.Stream, answer func(*exchange, context.Context) error) {
	p := s.Conn().RemotePeer()
	if ctx.Err() != nil || !d.enter(p) {
		_ = s.Reset() // refused without a word
		return
	}
	defer d.leave(p)
	if ok, tell := f.calls.allow(p); !ok {
		f.turnAway(s, tell)
		return
	}
	x := newExchange(f, s)
	stop := context.AfterFunc(ctx, x.cut)
	defer stop()
	err := answer(x, ctx)
	if err != nil && !errors.Is(err, ErrNotMember) && ctx.Err() == nil {
		f.log.Debug("exchange", "from", p, "err", err)
	}
}

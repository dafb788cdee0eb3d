package pubsub

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// Link is how the newest exchange with a connected member went.
type Link struct {
	Peer  peer.ID
	Last  time.Time // when it ended
	Err   error     // nil: each side then had what the other had
	State bool      // heads were equal when it began, and so was the state of all paths
	Heads bool      // heads, reports and records were equal when it began, or made equal
	In    int64     // bytes of frames received
	Out   int64     // bytes of frames sent
}

// Links lists the connected members of a pool that there was an exchange with, in no order. The slice is the caller's.
func (f *Feed) Links(pool event.PoolID) []Link {
	r := f.room(pool)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ls := make([]Link, 0, len(r.links))
	for _, l := range r.links {
		ls = append(ls, l)
	}
	return ls
}

// Counters tells how many exchanges ended in all pools since New, whoever began them, and the bytes of frames so far.
func (f *Feed) Counters() (exchanges, in, out int64) {
	return f.exchanges.Load(), f.in.Load(), f.out.Load()
}

// note keeps the result of an exchange with a member.
func (r *room) note(x *exchange, err error) {
	if !x.admitted.Load() || errors.Is(err, errBusy) {
		return
	}
	r.mu.Lock()
	r.links[x.peer] = Link{
		Peer: x.peer, Last: time.Now(), Err: err, Heads: err == nil, State: err == nil && x.state, In: x.in.Load(), Out: x.out.Load(),
	}
	r.mu.Unlock()
	if err == nil {
		r.agenda.met(x.peer)
	}
}

// met tells whether there was an exchange with p since it connected.
func (r *room) met(p peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.links[p]
	return ok && l.Err == nil
}

// String is for logs.
func (l Link) String() string {
	return fmt.Sprintf("%s: %d in, %d out, err %v", l.Peer, l.In, l.Out, l.Err)
}

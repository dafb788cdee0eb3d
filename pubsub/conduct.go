package pubsub

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/internal/frame"
)

var (
	// ErrFlood says that a member asks or says more than any honest node does.
	ErrFlood = errors.New("more than any node has to say")
	// ErrLater is what [Log.Append] wraps for segments that it does not take now, although nothing is wrong with them: their
	// author has announced more than it gives. Whoever brings them is not to blame, and they are offered again.
	ErrLater = errors.New("not now")
	// ErrSoon is ErrLater where it is worth waiting: what was announced before is coming in.
	ErrSoon = fmt.Errorf("%w, but soon", ErrLater)
)

const (
	// Exchanges that one peer may begin here a second, and at once. An honest node begins one at a time with each peer, and
	// rarely several a second.
	callRate, callBurst = 5, 60
	// complaintPause is the least time between two complaints of too many messages about one peer, so that complaining costs
	// less than hearing did.
	complaintPause = 100 * time.Millisecond
)

// blame tells of a member that broke the rules in a pool.
func (f *Feed) blame(pool event.PoolID, p peer.ID, err error) {
	if f.conf.Blame != nil && p != "" && p != f.host.ID() {
		f.conf.Blame(pool, p, err)
	}
}

// offends says whether err, of [Log.Append], can only come from an author that lies or a carrier that makes things up: no honest
// log holds such a segment.
func offends(err error) bool {
	for _, e := range []error{event.ErrSegment, event.ErrSignature, event.ErrEvent, event.ErrPath, event.ErrVector, event.ErrTooLarge} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// breaks says whether an exchange failed because of what the other side sent.
func breaks(err error) bool {
	return errors.Is(err, ErrProtocol) || errors.Is(err, frame.ErrTooLarge) || errors.Is(err, frame.ErrLength) || errors.Is(err, ErrFlood)
}

// paces limits how often each peer does something, and how often its doing too much is told of.
type paces struct {
	rate  rate.Limit
	burst int

	mu sync.Mutex
	by map[peer.ID]*pace
}

type pace struct {
	bucket *rate.Limiter
	told   time.Time
}

func newPaces(r rate.Limit, burst int) *paces {
	return &paces{rate: r, burst: burst, by: map[peer.ID]*pace{}}
}

// allow counts one more of p. tell says that it is time to complain.
func (l *paces) allow(p peer.ID) (ok, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.by[p]
	if b == nil {
		b = &pace{bucket: rate.NewLimiter(l.rate, l.burst)}
		l.by[p] = b
	}
	if b.bucket.Allow() {
		return true, false
	}
	if now := time.Now(); now.Sub(b.told) >= complaintPause {
		b.told = now
		return false, true
	}
	return false, false
}

// keep forgets those that who does not hold for members.
func (l *paces) keep(who func(peer.ID) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.by {
		if !who(p) {
			delete(l.by, p)
		}
	}
}

package node

import (
	"hash/maphash"
	"math"
	"time"

	"github.com/bwaklog/meerkat/event"
)

const (
	tryFew   = 512              // waiting paths that are tried again at once, until some of them come
	tryPause = 15 * time.Second // at most, between tries that brought nothing
	tryAll   = 20 * time.Second // at least, between tries of everything because somebody came
)

// blockade remembers when what waits for something is tried again, and how
// much of it: all that can come soon comes soon, and what never comes costs
// little, however much it is.
type blockade struct {
	again time.Time
	pause time.Duration
	whole time.Time // when everything was tried last
	most  int       // to try; 0: tryFew
	left  int       // how many waited at the last look
	seed  maphash.Seed
	trial bool // the turn under way tries again
}

// begin says whether this turn tries again; came: somebody came or went.
func (b *blockade) begin(came bool) bool {
	now := time.Now()
	b.trial = came || now.After(b.again)
	if !b.trial {
		return false
	}
	b.seed = maphash.MakeSeed()
	b.again = now.Add(blockedWait)
	b.most = max(b.most, tryFew)
	if came && now.Sub(b.whole) > tryAll {
		b.most, b.whole = math.MaxInt, now
	}
	return true
}

// picks says whether p is among those that are tried.
func (b *blockade) picks(p event.Path) bool {
	if b.left <= b.most {
		return true
	}
	return maphash.String(b.seed, string(p))%uint64(b.left) < uint64(b.most)
}

// end takes in what the turn did: how many paths that waited came, and how
// many wait on. It returns when to look again.
func (b *blockade) end(did, left int) time.Duration {
	b.left = left
	if !b.trial {
		return max(time.Until(b.again), time.Millisecond)
	}
	b.trial = false
	switch {
	case left == 0:
		b.pause, b.most = 0, 0
		return 0
	case did > 0:
		b.pause, b.most = 0, min(b.most, math.MaxInt/4)*4
	default:
		b.pause, b.most = min(b.pause*2, tryPause), tryFew
	}
	b.pause = max(b.pause, nobodyWait)
	b.again = time.Now().Add(b.pause)
	return b.pause
}

package node

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

const (
	claimPatience = time.Minute      // in which a claim has to bring something
	claimMemory   = 10 * time.Minute // for which one that brought nothing is remembered
)

// claims judge what members say that they know and this node does not. A report
// is only a claim, and may name events that nobody has signed: it is believed as
// long as more of those logs comes in. Its zero value is ready.
type claims struct {
	mu sync.Mutex
	by map[peer.ID]claim
}

// claim is how far this node was in the logs of which a member claims more.
type claim struct {
	since time.Time // when it was further for the last time
	have  uint64
}

// credible reports whether p knows events that heads lack, as far as rep, which
// may be nil, can be believed.
func (c *claims) credible(p peer.ID, rep *report, heads []event.Head, now time.Time) bool {
	if rep == nil {
		return false
	}
	have, ahead := rep.claims(heads)
	c.mu.Lock()
	defer c.mu.Unlock()
	was, known := c.by[p]
	if known && now.Sub(was.since) > claimMemory {
		known = false
		delete(c.by, p)
	}
	if !ahead {
		return false
	}
	if !known || have > was.have {
		if c.by == nil {
			c.by = map[peer.ID]claim{}
		}
		was = claim{now, have}
		c.by[p] = was
	}
	return now.Sub(was.since) < claimPatience
}

// open reports whether there are claims whose time is not over.
func (c *claims) open(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, was := range c.by {
		if now.Sub(was.since) < claimPatience+2*guardEvery {
			return true
		}
	}
	return false
}

// claims reports whether the reporter claims events that heads lack, and how
// much of the logs that they are of is here.
func (r *report) claims(heads []event.Head) (have uint64, ahead bool) {
	mine := make(map[event.Writer]uint64, len(heads))
	for _, h := range heads {
		mine[h.Writer] = h.Seq
	}
	for w, seq := range r.Heads {
		if seq > mine[w] {
			have, ahead = have+mine[w], true
		}
	}
	return have, ahead
}

package node

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	maxRequests  = 64
	requestAge   = 24 * time.Hour
	requestQuiet = 10 * time.Minute // a request not repeated for so long makes room for others
	denyAge      = 24 * time.Hour
	maxDenied    = 256
)

// desk keeps the requests that wait for a person, in memory: who still wants
// in asks again.
type desk struct {
	mu      sync.Mutex
	waiting map[peer.ID]*request
	denied  map[peer.ID]time.Time
}

type request struct {
	RequestInfo
	last time.Time
}

type deskVerdict uint8

const (
	deskWaits deskVerdict = iota
	deskDenied
	deskFull
)

func newDesk() desk {
	return desk{waiting: map[peer.ID]*request{}, denied: map[peer.ID]time.Time{}}
}

// ask notes that p wants in; fresh is true the first time.
func (d *desk) ask(p peer.ID, name, addr string, now time.Time) (fresh bool, v deskVerdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	if _, ok := d.denied[p]; ok {
		return false, deskDenied
	}
	if r := d.waiting[p]; r != nil {
		r.last, r.Name, r.Addr = now, name, addr
		return false, deskWaits
	}
	if len(d.waiting) >= maxRequests && !d.makeRoom(now) {
		return false, deskFull
	}
	info := RequestInfo{Schema: SchemaRequest, ID: p.String(), Name: name, Since: now.UTC(), Addr: addr}
	d.waiting[p] = &request{RequestInfo: info, last: now}
	return true, deskWaits
}

// expire drops what is old. mu is held.
func (d *desk) expire(now time.Time) {
	for p, r := range d.waiting {
		if now.Sub(r.last) > requestAge {
			delete(d.waiting, p)
		}
	}
	for p, t := range d.denied {
		if now.Sub(t) > denyAge {
			delete(d.denied, p)
		}
	}
}

// makeRoom drops the request that was not repeated for the longest, if that is
// long. mu is held.
func (d *desk) makeRoom(now time.Time) bool {
	var oldest peer.ID
	for p, r := range d.waiting {
		if o := d.waiting[oldest]; o == nil || r.last.Before(o.last) {
			oldest = p
		}
	}
	if now.Sub(d.waiting[oldest].last) < requestQuiet {
		return false
	}
	delete(d.waiting, oldest)
	return true
}

// find is the name that p gave with its request.
func (d *desk) find(p peer.ID) (name string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.waiting[p]
	if r == nil {
		return "", false
	}
	return r.Name, true
}

// take ends p's request.
func (d *desk) take(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, p)
	delete(d.denied, p)
}

// deny ends p's request and remembers the answer.
func (d *desk) deny(p peer.ID, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, p)
	if len(d.denied) < maxDenied {
		d.denied[p] = now
	}
}

func (d *desk) list(now time.Time) []RequestInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	out := []RequestInfo{}
	for _, r := range d.waiting {
		out = append(out, r.RequestInfo)
	}
	slices.SortFunc(out, func(a, b RequestInfo) int { return a.Since.Compare(b.Since) })
	return out
}

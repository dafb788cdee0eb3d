package node

import (
	"slices"
	"strings"
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

// find is the request that a person means by its node's name, full id or a
// unique prefix of it.
func (d *desk) find(node string) (peer.ID, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var hits []peer.ID
	for p, r := range d.waiting {
		if r.ID == node {
			return p, r.Name, nil
		}
		if r.Name == node || node != "" && strings.HasPrefix(r.ID, node) {
			hits = append(hits, p)
		}
	}
	switch len(hits) {
	case 0:
		return "", "", trouble("no_request", nil, "no node called %q asks to join", node)
	case 1:
		return hits[0], d.waiting[hits[0]].Name, nil
	}
	return "", "", trouble("which_node", nil, "several requests match %q", node)
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

package node

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/node/internal/pb"
)

const (
	maxRequests  = 64
	requestAge   = 24 * time.Hour
	requestQuiet = 10 * time.Minute   // a request not repeated for so long makes room for others
	requestKept  = 7 * 24 * time.Hour // over restarts, though not repeated
	denyAge      = 24 * time.Hour
	maxDenied    = 256
)

// desk keeps the requests that wait for a person, and who was denied. What
// changes in it is kept in the state as well, see Admission.keep.
type desk struct {
	mu      sync.Mutex
	waiting map[peer.ID]*request
	denied  map[peer.ID]time.Time
}

// request is one that waits. Commit and Nonce are what the words come from: the
// joiner's commitment, and the nonce that it was answered with.
type request struct {
	RequestInfo
	Commit []byte `json:"commit,omitempty"`
	Nonce  []byte `json:"nonce,omitempty"`
	last   time.Time
}

// deskNews says what an ask changed.
type deskNews uint8

const (
	deskOld     deskNews = iota // nothing that has to be kept
	deskChanged                 // the words, or what they come from
	deskFresh                   // it is the first of that node
)

type deskVerdict uint8

const (
	deskWaits deskVerdict = iota
	deskDenied
	deskFull
)

func newDesk() desk {
	return desk{waiting: map[peer.ID]*request{}, denied: map[peer.ID]time.Time{}}
}

// ask notes that p wants in at self. The request that it gives is a copy, nil
// where there is none.
func (d *desk) ask(p, self peer.ID, addr string, ask *pb.Ask, now time.Time) (deskNews, *request, deskVerdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire(now)
	if _, ok := d.denied[p]; ok {
		return deskOld, nil, deskDenied
	}
	news, r := deskOld, d.waiting[p]
	if r == nil {
		if len(d.waiting) >= maxRequests && !d.makeRoom(now) {
			return deskOld, nil, deskFull
		}
		r = &request{RequestInfo: RequestInfo{Schema: SchemaRequest, ID: p.String(), Since: now.UTC()}}
		d.waiting[p], news = r, deskFresh
	}
	r.last, r.Name, r.Addr = now, ask.Name, addr
	if r.greet(p, self, ask) && news == deskOld {
		news = deskChanged
	}
	c := *r
	return news, &c, deskWaits
}

// greet takes the asker's part in agreeing on words. Another commitment gets
// another nonce, and the words are known when the asker shows its own.
func (r *request) greet(p, self peer.ID, ask *pb.Ask) (changed bool) {
	if len(ask.Commit) == 32 && !bytes.Equal(ask.Commit, r.Commit) {
		r.Commit, r.Nonce, r.Words, changed = ask.Commit, pairNonce(), nil, true
	}
	if r.Words == nil && len(ask.Nonce) == pairNonceLen && bytes.Equal(pairCommit(p, ask.Nonce), r.Commit) {
		r.Words, changed = pairWords(p, self, ask.Nonce, r.Nonce), true
	}
	return changed
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

const (
	requestPrefix = "request/"
	deniedPrefix  = "denied/"
)

// keep notes in the state what the desk has of p; nil forgets it. Trouble is
// logged: who wants in asks again.
func (a *Admission) keep(prefix string, p peer.ID, v any) {
	var b []byte
	var err error
	if v != nil {
		b, err = json.Marshal(v)
	}
	if err == nil {
		err = a.conf.Facts.Set(prefix+p.String(), b)
	}
	if err != nil {
		a.conf.Log.Warn("keep a request", "peer", p, "err", err)
	}
}

// settled ends p's request, and what was held against it.
func (a *Admission) settled(p peer.ID) {
	a.desk.take(p)
	a.keep(requestPrefix, p, nil)
	a.keep(deniedPrefix, p, nil)
}

// loadDesk takes up the requests that waited when the node was stopped.
func (a *Admission) loadDesk(now time.Time) {
	a.eachKept(requestPrefix, func(p peer.ID, b []byte) bool {
		r := request{last: now}
		if json.Unmarshal(b, &r) != nil || now.Sub(r.Since) > requestKept || len(a.desk.waiting) >= maxRequests {
			return false
		}
		a.desk.waiting[p] = &r
		return true
	})
	a.eachKept(deniedPrefix, func(p peer.ID, b []byte) bool {
		var t time.Time
		if json.Unmarshal(b, &t) != nil || now.Sub(t) > denyAge || len(a.desk.denied) >= maxDenied {
			return false
		}
		a.desk.denied[p] = t
		return true
	})
}

// eachKept gives f what is kept below prefix; what f does not want is dropped.
func (a *Admission) eachKept(prefix string, f func(peer.ID, []byte) bool) {
	keys, err := a.conf.Facts.Keys(prefix)
	if err != nil {
		a.conf.Log.Warn("requests of earlier runs are lost", "err", err)
	}
	for _, key := range keys {
		b, ok, err := a.conf.Facts.Get(key)
		p, bad := peer.Decode(strings.TrimPrefix(key, prefix))
		if err == nil && ok && bad == nil && f(p, b) {
			continue
		}
		if err := a.conf.Facts.Set(key, nil); err != nil {
			a.conf.Log.Warn("forget a request", "err", err)
		}
	}
}

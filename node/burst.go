package node

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

const (
	burstWindow = 10 * time.Minute
	burstFiles  = 50
	burstShare  = 5 // one part in so many of the pool's files
)

// reasonHeld is why a need of a held burst waits.
const reasonHeld = store.Held

// burst counts what one author replaced and deleted lately.
type burst struct {
	since time.Time
	n     int64
	told  bool
}

// watchBursts notices that a member changes very much in a short time, and
// tells the owner: it may be malware, or a mistake.
func (r *replica) watchBursts(segs []event.Segment) {
	if !r.licence.held() {
		return // what a new member learns is history
	}
	now := time.Now()
	total := r.st.Stats().Files
	for _, s := range segs {
		if s.Writer.Node == r.self {
			continue
		}
		if n := replaced(s, now); n > 0 && r.countBurst(s.Writer.Node, n, total, now) {
			r.notice("burst", r.nameOf(s.Writer.Node)+" replaced or deleted more than a fifth of the pool's files within ten minutes; what was here is kept in the versions")
		}
	}
}

// replaced counts the events of s that touch something older, and are fresh.
func replaced(s event.Segment, now time.Time) (n int64) {
	for _, l := range s.Leaves {
		if l.Raw != nil && len(l.Event.Ctx) > 0 && l.Event.Value.Kind != event.Dir && now.Sub(l.Event.HLC.Time()) < burstWindow {
			n++
		}
	}
	return n
}

// countBurst reports whether the author has just gone beyond the bounds.
func (r *replica) countBurst(p peer.ID, n, total int64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bursts == nil {
		r.bursts = map[peer.ID]*burst{}
	}
	b := r.bursts[p]
	if b == nil || now.Sub(b.since) > burstWindow {
		held := b != nil && b.told && r.holdBursts()
		b = &burst{since: now, told: held} // what is held stays held until a person decides
		r.bursts[p] = b
	}
	b.n += n
	if b.told || b.n <= burstFiles || b.n*burstShare <= total+b.n {
		return false
	}
	b.told = true
	return true
}

// holdsNeed reports whether a change of a path waits for a person: its author
// is in a burst, and something that lies here would be replaced.
func (r *replica) holdsNeed(view event.View, have store.Have, known bool) bool {
	if !r.holdBursts() || !known || !have.Known.Value.Live() || view.Value.SameContent(have.Known.Value) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bursts[view.Author]
	return b != nil && b.told
}

// heldNeeds lists the needs that wait because of bursts, by author.
func (r *replica) heldNeeds() (map[peer.ID][]event.Path, error) {
	out := map[peer.ID][]event.Path{}
	for after := event.Path(""); ; {
		needs := r.st.Needs(after, roundMost)
		if len(needs) == 0 {
			return out, nil
		}
		after = needs[len(needs)-1].Path
		for _, n := range needs {
			if n.Reason != reasonHeld {
				continue
			}
			v, err := r.st.View(n.Path)
			if err != nil {
				return nil, err
			}
			out[v.Author] = append(out[v.Author], n.Path)
		}
	}
}

func (r *replica) heldBursts() []HeldInfo {
	if !r.holdBursts() {
		return nil
	}
	by, err := r.heldNeeds()
	if err != nil {
		r.log.Warn("what is held", "err", err)
	}
	var out []HeldInfo
	for p, paths := range by {
		h := HeldInfo{
			Schema: SchemaHeld, ID: p.String(), Pool: r.name(), Kind: heldBurst, By: r.nameOf(p), Count: len(paths),
			Message: fmt.Sprintf("%s replaced or deleted very much in a short time; %d files here still are as they were", r.nameOf(p), len(paths)),
			Hint:    "accept takes its changes over, reject puts the files back for all members",
		}
		for _, path := range paths[:min(len(paths), holdSample)] {
			text, _ := jsonPath(path)
			h.Sample = append(h.Sample, text)
		}
		out = append(out, h)
	}
	return out
}

func (r *replica) decideBurst(h HeldInfo, accept bool) error {
	by, err := r.heldNeeds()
	if err != nil {
		return err
	}
	for p, paths := range by {
		if p.String() != h.ID {
			continue
		}
		if !accept {
			err = r.author(paths, func() ([]event.Event, error) { return r.asHere(paths) })
		}
		if err != nil {
			return err
		}
		r.mu.Lock()
		delete(r.bursts, p)
		r.mu.Unlock()
		for _, path := range paths {
			if err := r.st.SetReason(path, "", ""); err != nil {
				return err
			}
		}
	}
	r.applyNow.poke()
	return nil
}

// asHere drafts what makes paths for all as they lie here.
func (r *replica) asHere(paths []event.Path) ([]event.Event, error) {
	var out []event.Event
	for _, p := range paths {
		have, known, err := r.st.Have(p)
		if err != nil {
			return nil, err
		}
		if !known {
			continue
		}
		d, err := r.change(p, have.Known.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, d...)
	}
	return out, nil
}

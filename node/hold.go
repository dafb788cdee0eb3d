package node

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

const (
	holdKey    = "hold"
	holdFiles  = 50 // more than so many must be gone before a disappearance is held
	holdSample = 5
	holdRescan = time.Minute // what is held may come back by itself
)

// hold is a mass disappearance that was found, and not seen happening: nothing
// of it is published until a person has decided, or the files are back.
type hold struct {
	Since  time.Time `json:"since"`
	Count  int       `json:"count"`
	Sample []string  `json:"sample"`
}

// ruling is what a person said of what is held; it counts for one full scan.
type ruling struct {
	accept bool
	under  event.Path // "" is everything
}

// holds is the mass-change guard's memory.
type holds struct {
	hold    *hold
	loaded  bool
	verdict *ruling
	seen    map[event.Path]bool // whose change the watcher saw happening
	blind   bool                // it saw that something happened, and not what
	awake   bool                // the watcher has spoken once
	again   *time.Timer
}

// witness notes what the watcher saw. mu is held.
func (h *holds) witness(b folder.Batch, degraded bool) {
	if b.All && h.awake && !degraded {
		h.blind = true
	}
	h.awake = h.awake || b.All
	for _, d := range b.Dirty {
		if h.seen == nil {
			h.seen = map[event.Path]bool{}
		}
		h.seen[d.Path] = true
	}
}

// witnessed reports whether the watcher saw p, or a directory above it, go.
// mu is held.
func (h *holds) witnessed(p event.Path) bool {
	if h.blind {
		return true
	}
	for ; p != ""; p = p.Dir() {
		if h.seen[p] {
			return true
		}
	}
	return false
}

// theHold is the disappearance that is held, or nil.
func (r *replica) theHold() *hold {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds.loaded {
		return r.holds.hold
	}
	raw, ok, err := r.st.Get(holdKey)
	if err == nil && ok {
		err = json.Unmarshal(raw, &r.holds.hold)
	}
	if err != nil {
		r.log.Warn("what is held", "err", err)
		return nil
	}
	r.holds.loaded = true
	return r.holds.hold
}

func (r *replica) setHold(h *hold) error {
	var raw []byte
	if h != nil {
		var err error
		if raw, err = json.Marshal(h); err != nil {
			return fmt.Errorf("encode what is held: %w", err)
		}
	}
	if err := r.st.Set(holdKey, raw); err != nil {
		return err
	}
	r.mu.Lock()
	r.holds.hold, r.holds.loaded = h, true
	r.mu.Unlock()
	return nil
}

// sift gives of what a scan found gone that which may be published, and how
// much of the rest is held back.
func (r *replica) sift(b *batch, found []folder.Seen) (pass []folder.Seen, held int, err error) {
	r.mu.Lock()
	v := r.holds.verdict
	var lost []folder.Seen
	for _, s := range b.gone {
		if v != nil && v.accept && (v.under == "" || s.Path == v.under || s.Path.Under(v.under)) || r.holds.witnessed(s.Path) {
			pass = append(pass, s)
		} else {
			lost = append(lost, s)
		}
	}
	r.mu.Unlock()
	h := r.theHold()
	switch {
	case len(lost) == 0:
		return pass, 0, nil
	case b.all && v != nil && !v.accept:
		return pass, 0, r.bringBack(lost)
	case h == nil && !(b.all && r.massive(lost, found)):
		return b.gone, 0, nil
	}
	return pass, len(lost), r.holdBack(h, lost, b.all)
}

// massive reports whether so much is gone that it looks like an accident. What
// lies here under another name is not gone.
func (r *replica) massive(lost, found []folder.Seen) bool {
	st := r.st.Stats()
	total := int(st.Files + st.Links)
	if len(lost) <= holdFiles || 2*len(lost) <= total {
		return false
	}
	gone := make(map[event.Path]bool, len(lost))
	for _, s := range lost {
		gone[s.Path] = true
	}
	fresh := map[chunker.ID]bool{}
	for _, s := range found {
		fresh[s.Value.Root] = true
	}
	n := 0
	for _, s := range lost {
		if r.vanished(s.Path, gone, fresh) {
			n++
		}
	}
	return n > holdFiles && 2*n > total
}

// vanished reports whether the content that the index has at p lies nowhere
// here any more. Directories do not count.
func (r *replica) vanished(p event.Path, gone map[event.Path]bool, fresh map[chunker.ID]bool) bool {
	have, ok, err := r.st.Have(p)
	if err != nil || !ok || have.Known.Value.Kind == event.Dir || !have.Known.Value.Live() {
		return false
	}
	v := have.Known.Value
	if v.Kind == event.Link || v.Size == 0 {
		return true
	}
	homes, err := r.st.Copies(v.Root, 4)
	if err != nil || fresh[v.Root] {
		return !fresh[v.Root]
	}
	for _, h := range homes {
		if !h.Version && !gone[h.Path] {
			return false
		}
	}
	return true
}

// holdBack remembers that something is held, and tells when that is new.
func (r *replica) holdBack(h *hold, lost []folder.Seen, all bool) error {
	if h != nil && (!all || h.Count == len(lost)) {
		return nil
	}
	fresh := h == nil
	h = &hold{Since: time.Now().UTC(), Count: len(lost)}
	for _, s := range lost[:min(len(lost), holdSample)] {
		text, _ := jsonPath(s.Path)
		h.Sample = append(h.Sample, text)
	}
	if fresh {
		r.log.Warn("a mass disappearance is held", "pool", r.name(), "count", h.Count)
		r.emit("held", lost[0].Path, r.self, fmt.Sprintf("%d files and directories are gone; nothing of it is published until a person decides", h.Count))
	}
	return r.setHold(h)
}

// bringBack has the pool's files fetched again where they are gone here.
func (r *replica) bringBack(lost []folder.Seen) error {
	r.disk.Lock()
	defer r.disk.Unlock()
	var tx store.Tx
	for _, s := range lost {
		if r.stillThere(s) {
			tx.Put = putTomb(tx.Put, s.Path)
		}
	}
	return r.commit(tx)
}

// scanSettled ends what counts for one full scan, and lets go of a hold when
// nothing is held any more. While something is, it is looked at again soon.
func (r *replica) scanSettled(held int) error {
	r.mu.Lock()
	r.holds.verdict, r.holds.blind = nil, false
	if held > 0 {
		if r.holds.again != nil {
			r.holds.again.Stop()
		}
		r.holds.again = time.AfterFunc(holdRescan, r.markAll)
	}
	r.mu.Unlock()
	if held == 0 && r.theHold() != nil {
		r.emit("held.over", "", r.self, "")
		return r.setHold(nil)
	}
	return nil
}

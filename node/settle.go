package node

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

const (
	settleStep = 2 * time.Second  // between the turns of online members
	settleLast = 60 * time.Second // after which anybody settles
)

// settleOwn settles the conflicts at paths that are about to be edited here,
// so that an edit never covers a losing value that has no copy yet.
func (r *replica) settleOwn(seen []folder.Seen) error {
	unsettled, err := r.unsettled()
	if err != nil || len(unsettled) == 0 {
		return err
	}
	var paths []event.Path
	for _, s := range seen {
		if unsettled[s.Path] {
			paths = append(paths, s.Path)
		}
	}
	return r.settle(paths)
}

func (r *replica) unsettled() (map[event.Path]bool, error) {
	out := map[event.Path]bool{}
	for _, p := range r.st.Unsettled() {
		out[p] = true
	}
	return out, nil
}

// settleDue settles conflicts whose turn it is here: at once where this node
// wrote a losing value, else after the members online with lower ids had their
// turn. It returns when the next one is due, or zero.
func (r *replica) settleDue() (time.Duration, error) {
	paths := r.st.Unsettled()
	r.forgetSettled(paths)
	if len(paths) == 0 || !r.mayWrite() || !r.licence.held() {
		return 0, nil
	}
	var due []event.Path
	var next time.Duration
	for _, p := range paths {
		wait, err := r.turn(p)
		if err != nil {
			return 0, err
		}
		if wait <= 0 {
			due = append(due, p)
		} else if next == 0 || wait < next {
			next = wait
		}
	}
	r.disk.Lock()
	defer r.disk.Unlock()
	return next, r.settle(due)
}

// turn is how long until this node should settle p.
func (r *replica) turn(p event.Path) (time.Duration, error) {
	v, err := r.st.View(p)
	if err != nil {
		return 0, err
	}
	authors := map[peer.ID]bool{}
	for _, l := range v.Losers {
		authors[l.Leaf.Dot.Writer.Node] = true
	}
	if authors[r.self] {
		return 0, nil
	}
	r.mu.Lock()
	since, ok := r.conflict[p]
	if !ok {
		since = time.Now()
		r.conflict[p] = since
	}
	r.mu.Unlock()
	return time.Until(since.Add(r.rank(authors))), nil
}

// rank spreads the members' turns: authors of losers first, then by id.
func (r *replica) rank(authors map[peer.ID]bool) time.Duration {
	place := 1
	for _, m := range r.st.Roster().Members() {
		if m.ID == r.self || !m.Role.Writes() || !r.links.online(m.ID) {
			continue
		}
		if authors[m.ID] {
			place += 5
		} else if m.ID < r.self {
			place++
		}
	}
	return min(time.Duration(place)*settleStep, settleLast)
}

func (r *replica) forgetSettled(paths []event.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.conflict {
		if !slices.Contains(paths, p) {
			delete(r.conflict, p)
		}
	}
}

// settle writes the copies of losing values and the events that resolve paths.
// The caller holds the disk.
func (r *replica) settle(paths []event.Path) error {
	var drafts []event.Event
	for _, p := range paths {
		s, err := r.st.State(p)
		if err != nil {
			return err
		}
		kids, err := r.st.LiveKids(p)
		if err != nil {
			return err
		}
		add := event.Settle(p, s, kids, r.stateAt, r.clock.Now)
		if slices.ContainsFunc(add, unsayable) {
			r.log.Debug("cannot settle: its vector is too long", "path", p)
			continue // it stays as it is, alike on all nodes
		}
		drafts = append(drafts, add...)
	}
	if len(drafts) == 0 || !r.mayWrite() {
		return nil
	}
	segs, _, err := r.seal(drafts)
	if err != nil {
		return err
	}
	for _, p := range paths {
		r.emit("conflict", p, r.self, "")
	}
	return r.commit(store.Tx{Segments: segs})
}

// unsayable tells of an event that nobody can sign: somebody has invented so
// many writers at its path that their vector is beyond all limits.
func unsayable(e event.Event) bool { return len(e.Ctx) > event.MaxVector }

// stateAt is the state of a path, empty where it cannot be read: then a copy
// is made once more rather than not at all.
func (r *replica) stateAt(p event.Path) event.State {
	s, err := r.st.State(p)
	if err != nil {
		return event.State{}
	}
	return s
}

package node

import (
	"maps"
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

// dispute is what is remembered of a path that is to be settled.
type dispute struct {
	since   time.Time
	authors map[peer.ID]bool // of the losing values; nil: to be looked up
	news    int              // how often the path has changed since
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
	d := r.disputeAt(p)
	if d.authors == nil {
		v, err := r.st.View(p)
		if err != nil {
			return 0, err
		}
		d.authors = make(map[peer.ID]bool, 1)
		for _, l := range v.Losers {
			d.authors[l.Leaf.Dot.Writer.Node] = true
		}
		r.keepDispute(p, d)
	}
	if d.authors[r.self] {
		return 0, nil
	}
	return time.Until(d.since.Add(r.rank(d.authors))), nil
}

// disputeAt is what is remembered of p, from now on at the latest.
func (r *replica) disputeAt(p event.Path) dispute {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.disputes[p]
	if !ok {
		d = dispute{since: time.Now()}
		r.disputes[p] = d
	}
	return d
}

// keepDispute remembers d, unless p has changed since d was looked up.
func (r *replica) keepDispute(p event.Path, d dispute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now, ok := r.disputes[p]; ok && now.news == d.news {
		r.disputes[p] = d
	}
}

// forgetTurns has the authors of disputes at paths that changed be looked up
// again.
func (r *replica) forgetTurns(paths []event.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range paths {
		if d, ok := r.disputes[p]; ok {
			r.disputes[p] = dispute{since: d.since, news: d.news + 1}
		}
	}
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

// forgetSettled forgets the conflicts that are not among paths any more.
func (r *replica) forgetSettled(paths []event.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.disputes) == 0 {
		return
	}
	left := make(map[event.Path]bool, len(paths))
	for _, p := range paths {
		left[p] = true
	}
	maps.DeleteFunc(r.disputes, func(p event.Path, _ dispute) bool { return !left[p] })
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

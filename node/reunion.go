package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

const (
	reunionTick  = time.Second
	apartLeast   = 10 * time.Second // shorter is a hiccup
	reunionCalm  = 5 * time.Second  // others may come back as well
	reunionLag   = 20 * time.Second // of a member that has come back, what is known may be so old
	reunionMost  = 2 * time.Minute
	reunionShown = time.Hour
	reunionBytes = 8 << 20 // of segments that are looked through
)

// reunions notice that members were apart and have come together again, and
// what each side had changed meanwhile. They only watch: merging needs none of it.
type reunions struct {
	log   *slog.Logger
	pools func() []*replica

	mu   sync.Mutex
	book map[event.PoolID]*parted
	told map[event.PoolID][]told
}

// told is a reunion that has been reported.
type told struct {
	text string
	at   time.Time
}

// parted is what one pool's members that are away have missed.
type parted struct {
	away map[peer.ID]absence
	past []moment // what this node knew lately, oldest first
	now  *reunion // under way
}

// moment is what this node knew at a time.
type moment struct {
	at    time.Time
	heads event.Vector
}

// absence is since when a member is away, and what it knew then.
type absence struct {
	since time.Time
	knew  event.Vector
}

// reunion is members that have just come back.
type reunion struct {
	names []string
	peers []peer.ID
	since time.Time
	began time.Time
	last  time.Time    // when the newest of them came
	knew  event.Vector // what both sides knew when they parted
	mine  event.Vector // what this side knew when they met
}

func newReunions(log *slog.Logger, pools func() []*replica) *reunions {
	return &reunions{log: log, pools: pools, book: map[event.PoolID]*parted{}, told: map[event.PoolID][]told{}}
}

// Run watches until ctx ends.
func (u *reunions) Run(ctx context.Context) error {
	for sleep(ctx, reunionTick) {
		for _, r := range u.pools() {
			u.watch(r, time.Now())
		}
	}
	return nil
}

// Notices are the reunions of a pool that its owner may not have heard of.
func (u *reunions) Notices(id event.PoolID) []string {
	if u == nil {
		return nil // the links of a test watch nobody
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for _, t := range u.told[id] {
		if time.Since(t.at) < reunionShown {
			out = append(out, t.text)
		}
	}
	return out
}

// watch looks who of a pool has gone and who has come. Only Run calls it, so
// book needs no lock.
func (u *reunions) watch(r *replica, now time.Time) {
	b := u.book[r.id]
	if b == nil {
		b = &parted{away: map[peer.ID]absence{}}
		b.note(now, headsOf(r.st))
		u.book[r.id] = b
	}
	for _, m := range r.st.Roster().Members() {
		switch gone, away := b.away[m.ID]; {
		case m.ID == r.self:
		case !r.links.online(m.ID) && !away:
			b.away[m.ID] = absence{since: now, knew: knownTo(r, m.ID, b.lately())}
		case r.links.online(m.ID) && away:
			b.meet(m.ID, m.Name, gone, now)
			delete(b.away, m.ID)
		}
	}
	if b.now != nil && b.now.over(r, now) {
		u.tell(r, b.now, now)
		b.now = nil
	}
	if len(b.away) > 0 || b.now == nil {
		b.note(now, headsOf(r.st))
	}
}

// note keeps what this node knows now, and forgets what is too old to matter.
func (b *parted) note(now time.Time, heads event.Vector) {
	for len(b.past) > 1 && now.Sub(b.past[1].at) >= reunionLag {
		b.past = b.past[1:]
	}
	b.past = append(b.past, moment{now, heads})
}

// lately is what this node knew a moment ago; the caller must not change it.
func (b *parted) lately() event.Vector { return b.past[len(b.past)-1].heads }

// mine is what this side knew before anybody who is away came back. What those
// wrote may have come already, through a member that met them a little earlier:
// it is news of the other side all the same.
func (b *parted) mine() event.Vector {
	before, out := b.past[0].heads, event.Vector{}
	for w, seq := range b.lately() {
		if _, away := b.away[w.Node]; away {
			seq = before[w]
		}
		if seq > 0 {
			out[w] = seq
		}
	}
	return out
}

// knownTo is what p said last that it knows, or else what is known here.
func knownTo(r *replica, p peer.ID, heads event.Vector) event.Vector {
	if rep := r.reports.get(p); rep != nil {
		return maps.Clone(event.Vector(rep.Heads))
	}
	return heads.Clone()
}

// meet adds a member that is back, and still counts as away, to the reunion
// that is under way.
func (b *parted) meet(p peer.ID, name string, gone absence, now time.Time) {
	if now.Sub(gone.since) < apartLeast {
		return
	}
	if b.now == nil {
		b.now = &reunion{since: gone.since, began: now, knew: gone.knew, mine: b.mine()}
	}
	n := b.now
	n.peers, n.names, n.last = append(n.peers, p), append(n.names, name), now
	if gone.since.Before(n.since) {
		n.since = gone.since
	}
	n.knew = n.knew.Join(gone.knew) // what any of them knew was no change of the time apart
}

// over reports whether both sides know all that the other did.
func (n *reunion) over(r *replica, now time.Time) bool {
	if now.Sub(n.last) < reunionCalm {
		return false
	}
	if now.Sub(n.began) > reunionMost {
		return true
	}
	heads := r.st.Heads()
	return !slices.ContainsFunc(n.peers, func(p peer.ID) bool {
		rep := r.reports.get(p)
		return r.links.online(p) && (rep == nil || !rep.covers(heads) || rep.ahead(heads))
	})
}

// tell reports a reunion at which both sides had something new.
func (u *reunions) tell(r *replica, n *reunion, now time.Time) {
	ours, a := u.changes(r, n.knew, n.mine)
	theirs, b := u.changes(r, n.mine.Join(n.knew), headsOf(r.st))
	if a == 0 || b == 0 {
		return
	}
	both := 0
	for p := range ours {
		if theirs[p] {
			both++
		}
	}
	text := n.text(a, b, both)
	u.log.Info("together again", "pool", r.name(), "members", n.names, "here", a, "there", b, "both", both)
	r.emit("pool.reunion", "", r.self, text)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told[r.id] = slices.DeleteFunc(u.told[r.id], func(t told) bool { return now.Sub(t.at) > reunionShown })
	u.told[r.id] = append(u.told[r.id], told{text, now})
}

func (n *reunion) text(ours, theirs, both int) string {
	who := slices.Clone(n.names)
	slices.Sort(who)
	return fmt.Sprintf("together again with %s after %s apart: %s on this side, %s on the other, %s changed on both",
		strings.Join(slices.Compact(who), ", "), n.began.Sub(n.since).Round(time.Second),
		plural(ours, "change"), plural(theirs, "change"), plural(both, "file"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// changes are the paths of the events behind from, up to to, and how many
// events there are. What settles conflicts is none of anybody's changes.
func (u *reunions) changes(r *replica, from, to event.Vector) (paths map[event.Path]bool, n int) {
	paths = map[event.Path]bool{}
	for w, last := range to {
		if last <= from[w] {
			continue
		}
		raws, err := r.st.After(w, from[w], reunionBytes)
		if err != nil {
			u.log.Debug("reunion", "err", err)
			continue
		}
		for _, raw := range raws {
			n += u.count(r, raw, from[w], last, paths)
		}
	}
	return paths, n
}

func (u *reunions) count(r *replica, raw []byte, from, last uint64, paths map[event.Path]bool) (n int) {
	s, err := event.OpenSegment(r.id, raw)
	if err != nil {
		return 0 // it was checked when it was stored; the rest still counts
	}
	for _, l := range s.Leaves {
		if l.Dot.Seq > from && l.Dot.Seq <= last && !event.IsConflictName(l.Event.Path) {
			n++
			paths[l.Event.Path] = true
		}
	}
	return n
}

package node

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

// facts are what the state of a pool is derived from.
type facts struct {
	halted    string
	paused    bool
	started   bool // the first scan of this run is done
	scanning  bool
	applying  bool
	wanted    Amount
	unsettled int
	others    int // members besides this node
	online    int // of those
	ahead     bool
}

// stateOf is the one place where a pool's state is decided.
func stateOf(f facts) string {
	switch {
	case f.halted != "":
		return StateHalted
	case f.paused:
		return StatePaused
	case !f.started:
		return StateStarting
	case f.applying:
		return StateApplying
	case f.wanted.Files > 0 || f.ahead:
		return StateFetching
	case f.scanning || f.unsettled > 0:
		return StateScanning
	case f.others > 0 && f.online == 0:
		return StateOffline
	}
	return StateInSync
}

// facts0 gathers them in an order that leaves nothing out: what was published
// before nothing is being scanned any more is in the heads, and what they make
// wanted is looked up after them.
func (r *replica) facts0() facts {
	f := facts{scanning: r.working(), paused: r.paused()}
	heads := r.Heads()
	f.wanted.Files, f.wanted.Bytes = r.st.NeedTotal()
	f.unsettled = len(r.st.Unsettled())
	r.mu.Lock()
	f.halted, f.started, f.applying = r.halted, r.first, r.applying
	r.mu.Unlock()
	for _, m := range r.st.Roster().Members() {
		if m.ID == r.self {
			continue
		}
		f.others++
		if !r.links.online(m.ID) {
			continue
		}
		f.online++
		if r.claims.credible(m.ID, r.reports.get(m.ID), heads, time.Now()) {
			f.ahead = true
		}
	}
	return f
}

func (r *replica) state() string { return stateOf(r.facts0()) }

// status is the pool's line of `meerkat status`.
func (r *replica) status() PoolStatus {
	ro := r.st.Roster()
	st := r.st.Stats()
	f := r.facts0()
	s := PoolStatus{
		ID: r.id.String(), Name: ro.Name(), Path: r.path, Role: roleOf(ro, r.self),
		State: stateOf(f), HaltedWhy: f.halted,
		Files: st.Files, Dirs: st.Dirs, Bytes: st.Bytes, Root: st.Root.String(),
		WantedHere: f.wanted, Problems: r.allProblems(), Members: r.members(), Notices: r.notices(), Disk: r.room(),
	}
	s.Conflicts = int(st.Copies)
	s.Held = len(r.held())
	s.PausedUntil = r.pausedUntil()
	s.NeedsYou = s.Conflicts + s.Held + len(s.Problems)
	r.mu.Lock()
	s.Progress = r.fetch
	if r.index != nil {
		s.Progress = r.index
	}
	r.mu.Unlock()
	return s
}

func roleOf(ro *pool.Roster, id peer.ID) string {
	m, ok := ro.Member(id)
	if !ok {
		return "removed"
	}
	return m.Role.String()
}

// notices are things that an owner should know once: no action is needed.
func (r *replica) notices() []string {
	out := append(r.ownerNotices(), r.links.reunions.Notices(r.id)...)
	if !r.licence.held() && !r.alone() {
		out = append(out, "waiting for a member to compare with; until then nothing that was changed here is published")
	}
	if why := r.watchTrouble(); why != "" {
		out = append(out, why)
	}
	if d := r.room(); d != nil && d.Free < d.Reserve {
		out = append(out, fmt.Sprintf("the disk of this folder is nearly full: %s free, and safety.disk_reserve keeps %s; nothing is fetched until there is room",
			humanize.Bytes(uint64(max(d.Free, 0))), humanize.Bytes(uint64(d.Reserve))))
	}
	if r.amOut() {
		out = append(out, textRemoved)
	}
	return out
}

// room is what the folder's disk has to spare, nil where that is not known.
func (r *replica) room() *Disk {
	var d Disk
	err := r.useFolder(func() (err error) { d.Free, d.Reserve, err = r.fold.Space(); return err })
	if err != nil {
		return nil
	}
	return &d
}

// members lists everybody in the pool, this node first.
func (r *replica) members() []Member {
	var out []Member
	heads := r.Heads()
	for _, m := range r.st.Roster().Members() {
		out = append(out, r.member(m, heads))
	}
	slices.SortStableFunc(out, func(a, b Member) int {
		if a.Self != b.Self {
			if a.Self {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

func (r *replica) member(m pool.Member, heads []event.Head) Member {
	out := Member{
		ID: m.ID.String(), Name: m.Name, Role: m.Role.String(),
		Link: Link{Kind: "none"},
	}
	if m.ID == r.self {
		out.Self, out.Online = true, true
		out.Link.Kind = "self"
		out.MissingThere = r.facts0().wanted
		out.LastSeen = timePtr(time.Now())
		return out
	}
	out.Online, out.Paused = r.links.online(m.ID), r.pauses.has(m.ID)
	out.LastSeen = timePtr(r.links.LastSeen(m.ID))
	out.Link = r.links.Link(m.ID)
	rep := r.reports.get(m.ID)
	if rep == nil {
		st := r.st.Stats()
		out.MissingThere = Amount{Files: st.Files, Bytes: st.Bytes}
		return out
	}
	if out.LastSeen == nil {
		out.LastSeen = timePtr(rep.Time.Time())
	}
	out.State = rep.State
	out.MissingThere = r.missingAt(rep, heads)
	return out
}

// missingAt is what a member lacked when it last spoke, and what has been
// published since.
func (r *replica) missingAt(rep *report, heads []event.Head) Amount {
	a := rep.Wanted
	for _, h := range heads {
		have, said := rep.seq(h.Writer)
		if !said || have >= h.Seq || h.Writer.Node == rep.Node {
			continue
		}
		files, bytes := r.publishedSince(h.Writer, have, h.Seq)
		a.Files, a.Bytes = a.Files+files, a.Bytes+bytes
	}
	return a
}

// publishedSince counts the events of w behind seq and the content they name;
// beyond a few thousand events it estimates.
func (r *replica) publishedSince(w event.Writer, seq, last uint64) (files, bytes int64) {
	const enough = 4 << 20
	raws, err := r.st.After(w, seq, enough)
	if err != nil {
		return int64(last - seq), 0
	}
	for _, raw := range raws {
		s, err := event.OpenSegment(r.id, raw)
		if err != nil {
			break
		}
		for _, l := range s.Leaves {
			if l.Dot.Seq > seq {
				files, bytes = files+1, bytes+l.Event.Value.Size
			}
		}
	}
	if n := int64(last - seq); files > 0 && n > files {
		bytes, files = bytes*n/files, n
	}
	return max(files, 1), bytes
}

func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// jsonPath is a path for JSON: as it is, and in base64 where it is not UTF-8.
func jsonPath(p event.Path) (text, b64 string) {
	s := string(p)
	if utf8.ValidString(s) {
		return s, ""
	}
	return strings.ToValidUTF8(s, "\uFFFD"), base64.StdEncoding.EncodeToString([]byte(s))
}

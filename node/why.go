package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/swarm"
)

// whyAsk is how long members online may take to say what they hold.
const whyAsk = 3 * time.Second

// Why says who has what stands at path, who lacks it, and for what reason, from
// what every member last signed and what those online answer now.
func (n *Node) Why(ctx context.Context, name, path string) (WhyInfo, error) {
	r, p, err := n.pickBelow(name, path)
	if err != nil {
		return WhyInfo{}, err
	}
	if q, ok := r.firstWanted(p); ok {
		p = q
	}
	if p == "" {
		return r.allWell(), nil
	}
	view, err := r.st.View(p)
	if err != nil {
		return WhyInfo{}, err
	}
	known, err := r.isKnown(p)
	if err != nil {
		return WhyInfo{}, err
	}
	if !known {
		return r.whyUnknown(p)
	}
	info := r.whyHead(p, view)
	for _, m := range r.st.Roster().Members() {
		info.Members = append(info.Members, r.whyMember(m, p, view))
	}
	r.askHolders(ctx, view.Value, info.Members)
	slices.SortStableFunc(info.Members, func(a, b WhyMember) int {
		return cmp.Or(cmp.Compare(rankOf(a), rankOf(b)), strings.Compare(a.Name, b.Name))
	})
	info.State, info.Cause, info.Hint = explain(info, time.Now())
	if pr, bad := r.localTrouble(p); bad {
		info.State, info.Cause, info.Hint = "waiting", pr.Message, pr.Hint
	}
	if need, waits, err := r.st.NeedAt(p); err == nil && waits {
		if lost, ok := r.lostAt(need); ok {
			info.State, info.Cause, info.Hint = "waiting", lost.Message, lost.Hint
		}
	}
	return info, nil
}

func rankOf(m WhyMember) int {
	if m.Self {
		return 0
	}
	return 1
}

// firstWanted is the first path in p, a directory or "", that is not here yet.
func (r *replica) firstWanted(p event.Path) (event.Path, bool) {
	for after := event.Path(""); ; {
		needs := r.st.Needs(after, roundMost)
		if len(needs) == 0 {
			return "", false
		}
		for _, n := range needs {
			after = n.Path
			if n.Reason != reasonIgnored && (p == "" || n.Path.Under(p)) {
				return n.Path, true
			}
		}
	}
}

// allWell answers for the whole pool when nothing is wanted here.
func (r *replica) allWell() WhyInfo {
	info := WhyInfo{Schema: SchemaWhy, Pool: r.name(), State: r.state(), Members: []WhyMember{}}
	info.Cause = "nothing is wanted here"
	var behind []string
	for _, m := range r.members() {
		if !m.Self && m.MissingThere.Files > 0 {
			behind = append(behind, fmt.Sprintf("%s lacks %s", m.Name, files(m.MissingThere.Files)))
		}
	}
	if why := r.haltedWhy(); why != "" {
		info.Cause, info.Hint = "the pool is halted: "+why, "put that right; it goes on by itself"
	} else if r.paused() {
		info.Cause, info.Hint = textPaused, codes["paused"].hint
	} else if held := r.held(); len(held) > 0 {
		info.Cause, info.Hint = held[0].Message, hintOf(reasonHeld)
	} else if bad := r.allProblems(); len(bad) > 0 {
		info.State, info.Path, info.PathB64, info.Cause, info.Hint = "waiting", bad[0].Path, bad[0].PathB64, bad[0].Message, bad[0].Hint
	} else if n := r.st.Stats().Copies; n > 0 {
		info.Cause, info.Hint = fmt.Sprintf("nothing is wanted here, but %s for you", conflictsWait(n)), `"meerkat conflicts" lists what lost to another edit`
	} else if len(behind) > 0 {
		info.Cause += "; " + strings.Join(behind, ", ")
		info.Hint = `"meerkat why PATH" tells about one file`
	}
	return info
}

func conflictsWait(n int64) string {
	if n == 1 {
		return "1 conflict waits"
	}
	return humanize.Comma(n) + " conflicts wait"
}

func (r *replica) isKnown(p event.Path) (bool, error) {
	s, err := r.st.State(p)
	if err != nil {
		return false, err
	}
	kids, err := r.st.LiveKids(p)
	return kids || len(s.Live) > 0, err
}

// whyUnknown answers for what the pool knows nothing of: something on this
// disk alone, or nothing at all.
func (r *replica) whyUnknown(p event.Path) (WhyInfo, error) {
	info := WhyInfo{Schema: SchemaWhy, Pool: r.name(), State: "local", Members: []WhyMember{}}
	info.Path, info.PathB64 = jsonPath(p)
	problem, bad := r.localTrouble(p)
	var there, ignored bool
	var rule RuleInfo
	err := r.useFolder(func() error {
		st, ok, err := r.fold.Lstat(p)
		k, _ := st.Kind()
		on, by := r.fold.Ignored(p, k == event.Dir)
		there, ignored, rule = ok, on, ruleInfo(by)
		return err
	})
	switch {
	case bad:
		info.Cause, info.Hint = problem.Message, problem.Hint
	case err != nil || !there:
		return info, noPath(p)
	case ignored && rule.File == "":
		info.Cause = "it belongs to this node and is never synced"
	case ignored:
		info.Cause = fmt.Sprintf("it is ignored by the rule %s (%s:%d)", rule.Pattern, rule.File, rule.Line)
		info.Hint = "take the rule out to have it synced"
	case r.haltedWhy() != "":
		info.Cause, info.Hint = "the pool is halted: "+r.haltedWhy(), "put that right; it goes on by itself"
	default:
		info.Cause, info.Hint = "it is on this disk and has not been looked at yet", `look now with "meerkat scan"`
	}
	return info, nil
}

func (r *replica) whyHead(p event.Path, view event.View) WhyInfo {
	info := WhyInfo{Schema: SchemaWhy, Pool: r.name(), Kind: view.Value.Kind.String(), Size: view.Value.Size}
	info.Path, info.PathB64 = jsonPath(p)
	if view.HLC != 0 {
		t := view.HLC.Time().UTC()
		info.Time, info.By, info.ByName = &t, view.Author.String(), r.memberName(view.Author)
	}
	if !view.Value.Live() {
		info.Kind = "deleted"
	}
	return info
}

// whyMember is what a member's last word says about p.
func (r *replica) whyMember(m pool.Member, p event.Path, view event.View) WhyMember {
	w := WhyMember{ID: m.ID.String(), Name: m.Name, Role: m.Role.String(), id: m.ID, State: HoldsUnknown}
	if m.ID == r.self {
		return r.whySelf(w, p)
	}
	w.Online, w.LastSeen = r.links.online(m.ID), timePtr(r.links.LastSeen(m.ID))
	rep := r.reports.get(m.ID)
	if rep == nil {
		w.Message = "it has never said what it has"
		return w
	}
	if w.LastSeen == nil {
		w.LastSeen = timePtr(rep.Time.Time())
	}
	if dot, ok := r.winnerDot(p, view); ok && dot.Writer.Node != m.ID && rep.Heads[dot.Writer] < dot.Seq {
		w.State, w.Message = HoldsUnaware, "it has not heard of this change"
		return w
	}
	l, lacks, known := rep.lacking(p)
	switch {
	case lacks:
		w.State, w.Percent, w.Reason, w.Message = HoldsPart, int(l.Permille/10), l.Reason, reasonWords(l.Reason)
		if l.Permille == 0 {
			w.State = HoldsNone
		}
	case known:
		w.State, w.Percent = HoldsAll, 100
	default:
		w.Message = fmt.Sprintf("it lacks %s, and this may be one of them", files(rep.Wanted.Files))
	}
	if rep.State == StatePaused && w.State != HoldsAll {
		w.Reason, w.Message = "paused", "it is paused"
	}
	return w
}

func (r *replica) whySelf(w WhyMember, p event.Path) WhyMember {
	w.Self, w.Online, w.LastSeen = true, true, timePtr(time.Now())
	need, waits, err := r.st.NeedAt(p)
	if err != nil || !waits {
		w.State, w.Percent = HoldsAll, 100
		if r.isHeld(p) {
			w.State, w.Percent, w.Reason, w.Message = HoldsNone, 0, reasonHeld, textHeld
		}
		return w
	}
	w.State, w.Percent = HoldsNone, int(r.shareOf(need)/10)
	if w.Percent > 0 {
		w.State = HoldsPart
	}
	w.Reason, w.Message = need.Reason, need.Message
	if why := r.haltedWhy(); why != "" {
		w.Reason, w.Message = "halted", "the pool is halted here: "+why
	}
	if r.paused() {
		w.Reason, w.Message = "paused", textPaused
	}
	if need.Reason == reasonIgnored {
		_, rule := r.fold.Ignored(p, false)
		w.State, w.Message = HoldsIgnores, fmt.Sprintf("the rule %s ignores it here", rule.Pattern)
	}
	return w
}

const (
	textPaused = "the pool is paused here"
	textHeld   = "it is gone from this disk, with much else; that is held until you decide, and nobody else lost it"
)

// localTrouble is what a scan found wrong at p or with a directory above it.
func (r *replica) localTrouble(p event.Path) (pr Problem, bad bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; p != "" && !bad; p = p.Dir() {
		pr, bad = r.problems[p]
	}
	return pr, bad
}

// isHeld reports whether p is part of a disappearance that is held.
func (r *replica) isHeld(p event.Path) bool {
	if r.theHold() == nil {
		return false
	}
	gone := false
	err := r.useFolder(func() error {
		_, there, err := r.fold.Lstat(p)
		gone = !there
		return err
	})
	return err == nil && gone
}

// files counts files in words.
func files(n int64) string {
	if n == 1 {
		return "1 file"
	}
	return humanize.Comma(n) + " files"
}

// winnerDot is the newest event that says what stands at p.
func (r *replica) winnerDot(p event.Path, view event.View) (event.Dot, bool) {
	s, err := r.st.State(p)
	if err != nil {
		return event.Dot{}, false
	}
	for _, l := range s.Live {
		if l.Event.HLC == view.HLC && l.Event.Value.SameContent(view.Value) {
			return l.Dot, true
		}
	}
	return event.Dot{}, false
}

// askHolders corrects what members said earlier by what those online say now.
func (r *replica) askHolders(ctx context.Context, v event.Value, ms []WhyMember) {
	if v.Kind != event.File || v.Size == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, whyAsk)
	defer cancel()
	for i := range ms {
		m := &ms[i]
		if m.Self || !m.Online || m.State == HoldsUnaware {
			continue
		}
		shares, err := r.swarm.Holding(ctx, swarm.Pool(r.id), m.id, []chunker.ID{v.Root})
		if err != nil || len(shares) != 1 || shares[0].Chunks == 0 && m.State == HoldsAll {
			continue // its own word stands
		}
		m.Percent = int(permille(shares[0].Have, shares[0].Chunks) / 10)
		switch {
		case shares[0].All() && m.State != HoldsAll:
			m.State, m.Reason, m.Message = HoldsAll, "", ""
		case shares[0].All():
		case m.Percent > 0:
			m.State = HoldsPart
		case m.State == HoldsUnknown || m.State == HoldsPart:
			m.State = HoldsNone
		}
	}
}

// reasonWords says a reason of another member in words.
func reasonWords(reason string) string {
	switch reason {
	case "":
		return ""
	case reasonNobody:
		return "nobody whom it can reach has it"
	case "disk_full":
		return "its disk is full"
	case "read_only":
		return "its disk is read-only"
	case "denied":
		return "it may not write there"
	case "name":
		return "its file system cannot hold that name"
	case "io_error":
		return "its disk reports errors"
	}
	return strings.ReplaceAll(reason, "_", " ")
}

package node

import (
	"slices"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// shownProblems bounds the list in a status; the count stays true in needs_you
// only for those shown.
const shownProblems = 200

// unreadableWait is how long after a scan what it could not read is tried again.
const unreadableWait = 30 * time.Second

func problemOf(p folder.Problem) Problem {
	out := Problem{Code: p.Code, Message: p.Message, Hint: p.Hint}
	out.Path, out.PathB64 = jsonPath(p.Path)
	return out
}

// setProblem shows trouble with a path until a scan of it finds none.
func (r *replica) setProblem(p Problem) {
	r.mu.Lock()
	r.problems[event.Path(p.Path)] = p
	if r.fresh == nil {
		r.fresh = map[event.Path]Problem{}
	}
	r.fresh[event.Path(p.Path)] = p
	r.mu.Unlock()
}

// keepProblems replaces what was known of the scanned paths by what this scan
// found.
func (r *replica) keepProblems(found []folder.Problem, dirty []folder.Dirty, all bool) {
	again := false
	r.mu.Lock()
	for p := range r.problems {
		if all || covered(p, dirty) {
			delete(r.problems, p)
		}
	}
	for p, pr := range r.fresh {
		r.problems[p] = pr // publishing what this scan found had told of it
	}
	for _, p := range found {
		if p.Code == folder.CodeUnstable || p.Code == folder.CodeVanished {
			r.dirty[p.Path] = true
			again = true
			continue
		}
		r.problems[p.Path] = problemOf(p)
	}
	r.readAgainLocked()
	r.mu.Unlock()
	if again {
		r.scanLater(unstableWait)
	}
}

// readAgainLocked has what cannot be read looked at again in a while: a disk
// that recovers tells nobody. mu is held.
func (r *replica) readAgainLocked() {
	var bad []event.Path
	for p, problem := range r.problems {
		if problem.Code == folder.CodeUnreadable {
			bad = append(bad, p)
		}
	}
	if r.unreadable != nil {
		r.unreadable.Stop()
	}
	if len(bad) == 0 {
		return
	}
	r.unreadable = time.AfterFunc(unreadableWait, func() {
		for _, p := range bad {
			r.markDirty(p, true)
		}
	})
}

func covered(p event.Path, dirty []folder.Dirty) bool {
	return slices.ContainsFunc(dirty, func(d folder.Dirty) bool { return d.Path == p || p.Under(d.Path) })
}

// allProblems lists what the scan found and what could not be applied.
func (r *replica) allProblems() []Problem {
	out := []Problem{}
	r.mu.Lock()
	for _, p := range r.problems {
		out = append(out, p)
	}
	r.mu.Unlock()
	for _, n := range r.st.Needs("", roundMost) {
		if n.Reason == "" || n.Reason == reasonIgnored || n.Reason == reasonNobody {
			continue
		}
		p := Problem{Code: n.Reason, Message: n.Message, Hint: hintOf(n.Reason)}
		p.Path, p.PathB64 = jsonPath(n.Path)
		out = append(out, p)
	}
	lost, _ := r.lost()
	out = append(out, lost...)
	slices.SortFunc(out, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return out[:min(len(out), shownProblems)]
}

// hintOf says what a person can do about a reason.
func hintOf(reason string) string {
	switch reason {
	case "paused":
		return codes["paused"].hint
	case reasonLocal:
		return "ask an admin for the role writer, or put back the pool's version"
	case reasonHeld:
		return `"meerkat held" shows it, and takes your decision`
	case reasonChanged:
		return "it is looked at again; if it stays so, see whether a program holds or changes it"
	case folder.CodeInTheWay:
		return "move what stands there away; it goes on by itself"
	case "disk_full":
		return "free some space; it goes on by itself"
	case "read_only":
		return "make the disk writable again; it goes on by itself"
	case "io_error":
		return "look after the disk: its own log (dmesg) may say more"
	case "denied":
		return "give this user write permission there"
	case "name":
		return "this file system cannot hold that name; rename it on another member"
	case "too_many_files":
		return "raise the limit of open files (ulimit -n)"
	}
	return ""
}

package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// lostMost bounds how many paths are asked about, because each costs a look at
// what every member last said.
const lostMost = 64

// lost lists what waits for content that no member can give any more: everybody
// who may have it was asked, or has said that he lacks it. whole is false where
// something waits that may still come.
func (r *replica) lost() (out []Problem, whole bool) {
	whole = true
	for _, n := range r.st.Needs("", lostMost) {
		if n.Reason == reasonIgnored || n.Reason == reasonLocal || n.Reason == reasonHeld {
			continue
		}
		p, ok := r.lostAt(n)
		if ok {
			out = append(out, p)
		}
		whole = whole && ok
	}
	return out, whole
}

func (r *replica) lostAt(n store.Need) (Problem, bool) {
	if n.Reason != reasonNobody {
		return Problem{}, false
	}
	view, err := r.st.View(n.Path)
	if err != nil || view.Value.Kind != event.File {
		return Problem{}, false
	}
	for _, m := range r.st.Roster().Members() {
		if m.ID == r.self {
			continue
		}
		w := r.whyMember(m, n.Path, view)
		if w.State == HoldsAll || w.State == HoldsUnknown && !w.Online {
			return Problem{}, false
		}
	}
	p := Problem{Code: reasonNobody, Message: "nobody has it any more: " + r.lastHolder(view), Hint: lostHint}
	p.Path, p.PathB64 = jsonPath(n.Path)
	return p, true
}

const lostHint = `put the file there again from elsewhere, bring back an older version ("meerkat versions PATH"), or delete it where it should be`

// lastHolder says in words who is known to have had the content last: whoever
// wrote it.
func (r *replica) lastHolder(view event.View) string {
	who := view.Author
	if !view.CDot.IsZero() {
		who = view.CDot.Writer.Node
	}
	text := fmt.Sprintf("%s wrote it %s", r.memberName(who), humanize.RelTime(view.HLC.Time(), time.Now(), "ago", "from now"))
	ro := r.st.Roster()
	if _, in := ro.Member(who); !in {
		return text + ", and is no member any more"
	}
	if who == r.self {
		return text + ", which is this node"
	}
	return text + ", and lacks it now"
}

// lostText says of what is lost in one line, "" where nothing is.
func lostText(all []Problem) string {
	if len(all) == 0 {
		return ""
	}
	var names []string
	for _, p := range all[:min(len(all), 3)] {
		names = append(names, p.Path)
	}
	more := ""
	if n := len(all) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%s%s: %s", strings.Join(names, ", "), more, all[0].Message)
}

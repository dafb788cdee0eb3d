package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// explain decides the one cause to be told, and what a person could do: a
// function of the facts alone.
func explain(w WhyInfo, now time.Time) (state, cause, hint string) {
	var self WhyMember
	var has, behind []WhyMember
	for _, m := range w.Members {
		switch {
		case m.Self:
			self = m
		case m.State == HoldsAll:
			has = append(has, m)
		default:
			behind = append(behind, m)
		}
	}
	switch self.State {
	case HoldsAll:
		return explainOthers(w, behind, now)
	case HoldsIgnores:
		return "ignored", self.Message, "take the rule out to have it synced here"
	}
	if self.Reason != "" && self.Reason != reasonNobody {
		return "waiting", self.Message, firstOf(hintOf(self.Reason), `"meerkat status" says more`)
	}
	return explainMissing(w, self, has, behind, now)
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// explainOthers tells of members that lack what is here.
func explainOthers(w WhyInfo, behind []WhyMember, now time.Time) (state, cause, hint string) {
	what := "it"
	if w.Kind == "deleted" {
		what = "the deletion"
	}
	if len(behind) == 0 {
		return "in_sync", "every member has " + what, ""
	}
	var words []string
	for _, m := range behind {
		words = append(words, behindWords(m, now))
		if hint == "" {
			hint = behindHint(m)
		}
	}
	return "waiting", what + " is here; " + strings.Join(words, "; "), hint
}

func behindWords(m WhyMember, now time.Time) string {
	switch {
	case m.State == HoldsUnaware && !m.Online:
		return fmt.Sprintf("%s has not heard of it: it was last seen %s", m.Name, since(m, now))
	case !m.Online && m.State == HoldsPart:
		return fmt.Sprintf("%s has %d %% of it and was last seen %s", m.Name, m.Percent, since(m, now))
	case !m.Online:
		return fmt.Sprintf("%s was last seen %s%s", m.Name, since(m, now), because(m))
	case m.State == HoldsPart:
		return fmt.Sprintf("%s has %d %% of it%s", m.Name, m.Percent, because(m))
	case m.State == HoldsNone:
		return m.Name + " lacks it" + because(m)
	}
	return m.Name + " is not known to have it" + because(m)
}

func because(m WhyMember) string {
	if m.Message == "" {
		return ""
	}
	return ": " + m.Message
}

func behindHint(m WhyMember) string {
	switch {
	case !m.Online:
		return "start " + m.Name + ", or let it have a network"
	case hintOf(m.Reason) != "":
		return "on " + m.Name + ": " + hintOf(m.Reason)
	case m.State == HoldsPart:
		return "it is on its way"
	}
	return ""
}

func since(m WhyMember, now time.Time) string {
	if m.LastSeen == nil {
		return "at an unknown time"
	}
	return humanize.RelTime(*m.LastSeen, now, "ago", "from now")
}

// explainMissing tells why content is not here although nothing stands in the
// way of it here.
func explainMissing(w WhyInfo, self WhyMember, has, behind []WhyMember, now time.Time) (state, cause, hint string) {
	here := "nothing of it is here"
	if self.Percent > 0 {
		here = fmt.Sprintf("%d %% of it is here", self.Percent)
	}
	var off []string
	var last WhyMember
	for _, m := range has {
		if m.Online {
			return "fetching", here + ", and it is being fetched from " + m.Name, "it goes on by itself"
		}
		off, last = append(off, m.Name), m
	}
	rest := "all of it"
	if self.Percent > 0 {
		rest = fmt.Sprintf("the missing %d %%", 100-self.Percent)
	}
	if len(off) > 0 {
		verb, was := "holds", "it was"
		if len(off) > 1 {
			verb, was = "hold", "they were"
		}
		names := strings.Join(off, " and ")
		return "waiting", fmt.Sprintf("%s; only %s %s %s, and %s last seen %s", here, names, verb, rest, was, since(last, now)),
			"start " + strings.Join(off, " or ") + `; or bring back an older version: "meerkat versions PATH"`
	}
	for _, m := range behind {
		if m.State == HoldsUnknown || m.Percent > self.Percent {
			off = append(off, fmt.Sprintf("%s (%d %%)", m.Name, m.Percent))
		}
	}
	if len(off) > 0 {
		return "waiting", here + "; no member is known to hold all of it, most of it may be with " + strings.Join(off, " and "),
			`start every member that is off; "meerkat versions PATH" lists older versions`
	}
	return "waiting", here + ", and no member is known to hold " + rest, `bring back an older version: "meerkat versions PATH"`
}

package node

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// What a member signs may be an hour ahead of its clock, and take a while to come.
	skewMost = 2 * time.Hour
	// Of a member linked for so long all is known that it said before: what
	// comes now was said now.
	skewLinked = 30 * time.Second
)

// judgeClock tells the owner when a member's clock and the one here are far
// apart, by a report that has just come.
func (r *replica) judgeClock(rep *report) {
	if text := skewText(r.nameOf(rep.Node), time.Until(rep.Time.Time()), r.links.linkedFor(rep.Node)); text != "" {
		r.notice("clock", text)
	}
}

// skewText says how far the clock of a member is ahead, if that is worth it.
func skewText(name string, ahead, linked time.Duration) string {
	where := "ahead of"
	switch {
	case ahead > skewMost:
	case ahead < -skewMost && linked > skewLinked:
		ahead, where = -ahead, "behind"
	default:
		return ""
	}
	far := fmt.Sprintf("%.0f hours", ahead.Hours())
	if ahead > 3*24*time.Hour {
		far = fmt.Sprintf("%.0f days", ahead.Hours()/24)
	}
	return fmt.Sprintf("the clock of %s is %s %s the one here: set right the one that is wrong; nothing is lost by it, but in conflicts the wrong change may count as newer", name, far, where)
}

// linkedFor is how long p has been linked to this node.
func (l *links) linkedFor(p peer.ID) (longest time.Duration) {
	for _, c := range l.host.Network().ConnsToPeer(p) {
		longest = max(longest, time.Since(c.Stat().Opened))
	}
	return longest
}

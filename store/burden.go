package store

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// What an honest author leaves at a path, or brings to it, costs nothing extra.
const (
	freeSiblings = 4  // of one author at one path
	freeWriters  = 64 // that one write adds to what is covered at a path
	freeLogs     = 64 // of one author
)

// Burden is what the events of one author cost beyond the price of an event: honest authors have none.
type Burden struct {
	// Cost counts its siblings at the paths that it wrote to, beyond the first few of each, and the writers that its vectors
	// brought there, likewise: each is looked at whenever the path is. And its logs that are new, likewise: all of them are compared
	// whenever two members meet.
	Cost int
	// Deaf is the greatest number of events of one of its logs at a path that know nothing of each other. The author of a log
	// has seen what it said itself, so there is never more than one.
	Deaf int
}

// weigh notes who brought more to n than an honest author has; s is what n becomes by it.
func (c *change) weigh(n *node, s event.State) {
	grown := len(s.Covered) - len(n.now.state.Covered) - freeWriters
	if len(s.Live)+len(s.Witness) <= 1 && grown <= 0 {
		return
	}
	kept, logs := map[peer.ID]int{}, map[event.Writer]int{}
	for _, ls := range [][]event.Leaf{s.Live, s.Witness} {
		for i := range ls {
			kept[ls[i].Dot.Writer.Node]++
		}
	}
	for i := range s.Live {
		logs[s.Live[i].Dot.Writer]++
	}
	seen, widest := map[peer.ID]bool{}, 0
	for i := range n.coming {
		w := n.coming[i].Dot.Writer
		if len(n.coming[i].Event.Ctx) > len(n.coming[widest].Event.Ctx) {
			widest = i
		}
		if !seen[w.Node] {
			seen[w.Node] = true
			c.burden(w.Node, kept[w.Node]-freeSiblings, 0)
		}
		c.burden(w.Node, 0, logs[w])
	}
	c.burden(n.coming[widest].Dot.Writer.Node, grown, 0)
}

// weighLog notes who began one more log of many.
func (c *change) weighLog(w event.Writer) {
	n := 0
	for o := range c.facts.heads {
		if o.Node == w.Node {
			n++
		}
	}
	if n > freeLogs {
		c.burden(w.Node, 1, 0)
	}
}

// burden adds to what an author is told to cost; what is not beyond the honest measure is not noted.
func (c *change) burden(p peer.ID, cost, deaf int) {
	if cost <= 0 && deaf <= 1 {
		return
	}
	if c.result.Burdens == nil {
		c.result.Burdens = map[peer.ID]Burden{}
	}
	b := c.result.Burdens[p]
	b.Cost += max(cost, 0)
	b.Deaf = max(b.Deaf, deaf)
	c.result.Burdens[p] = b
}

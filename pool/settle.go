package pool

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// mark is the verdict on an entry.
type mark uint8

const (
	open mark = iota
	holds
	void
)

// keptVerdicts bounds what a graph remembers of pasts it has judged.
const keptVerdicts = 64

// settled is the verdict over a closed set of entries; marks outside of it
// mean nothing. The caller does not change it.
func (g *graph) settled(in set) []mark {
	whole := in.count() == len(g.entries)
	if whole && g.now != nil {
		return g.now
	}
	key := in.key()
	m, ok := g.verdict[key]
	if !ok {
		if len(g.verdict) >= keptVerdicts {
			clear(g.verdict)
		}
		m = g.settle(in)
		g.verdict[key] = m
	}
	if whole {
		g.now = slices.Clone(m)
		return g.now
	}
	return m
}

func (s set) key() string {
	b := make([]byte, 0, 8*len(s))
	for _, w := range s {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return string(b)
}

// settle judges the entries in in, each as soon as all that bears on it is
// judged. Where several wait for each other, the author who has been a member
// longest goes first, among equals the lower (hlc, hash).
func (g *graph) settle(in set) []mark {
	marks := make([]mark, len(g.entries))
	var left []int
	for i := range g.entries {
		if in.has(i) {
			left = append(left, i)
		}
	}
	for len(left) > 0 {
		before := len(left)
		left = slices.DeleteFunc(left, func(i int) bool {
			ready := len(g.waitsFor(i, in, marks)) == 0
			if ready {
				marks[i] = g.judge(i, in, marks)
			}
			return ready
		})
		if len(left) == before {
			first := g.firstOf(left[0], in, marks)
			marks[first] = g.judge(first, in, marks)
			left = slices.DeleteFunc(left, func(i int) bool { return i == first })
		}
	}
	return marks
}

// waitsFor lists what bears on i and is not judged.
func (g *graph) waitsFor(i int, in set, marks []mark) []int {
	e := &g.entries[i]
	var out []int
	wait := func(j int) {
		if in.has(j) && marks[j] == open {
			out = append(out, j)
		}
	}
	for _, h := range e.Heads {
		wait(g.index[h]) // with a head, its past is judged
	}
	for _, j := range e.foes {
		wait(j)
	}
	if e.Claim != nil {
		for _, j := range g.claims[e.Claim.Ticket] {
			if j < i {
				wait(j)
			}
		}
	}
	return out
}

// judge says whether i holds, in the light of what is judged already.
func (g *graph) judge(i int, in set, marks []mark) mark {
	e := &g.entries[i]
	for _, j := range e.foes {
		if in.has(j) && marks[j] == holds {
			return void
		}
	}
	if g.authority(e, e.past, marks) != nil || e.Claim != nil && g.excess(i, in, marks) {
		return void
	}
	return holds
}

// excess reports whether other nodes have used up the ticket of i before it.
func (g *graph) excess(i int, in set, marks []mark) bool {
	e := &g.entries[i]
	users := map[peer.ID]bool{}
	for _, j := range g.claims[e.Claim.Ticket] {
		if j < i && in.has(j) && marks[j] == holds {
			users[g.entries[j].user()] = true
		}
	}
	delete(users, e.user())
	return len(users) >= e.Claim.Uses
}

// firstOf chooses, in a knot of entries that wait for each other and for
// nothing else, the one that is judged first. Which knot is chosen does not
// matter, since one knot does not bear on another.
func (g *graph) firstOf(start int, in set, marks []mark) int {
	knot := g.waitsForAll(start, in, marks)
	for _, i := range knot {
		if smaller := g.waitsForAll(i, in, marks); len(smaller) < len(knot) {
			return g.firstOf(i, in, marks)
		}
	}
	knot = slices.DeleteFunc(knot, func(i int) bool { return g.headOpen(i, in, marks) })
	return slices.MinFunc(knot, func(a, b int) int {
		x, y := &g.entries[a], &g.entries[b]
		return cmp.Or(cmp.Compare(g.seniority(x, marks), g.seniority(y, marks)),
			cmp.Compare(x.HLC, y.HLC), x.Hash.Compare(y.Hash))
	})
}

// waitsForAll is waitsFor, followed to the end.
func (g *graph) waitsForAll(start int, in set, marks []mark) []int {
	seen := map[int]bool{}
	var out []int
	todo := []int{start}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, j := range g.waitsFor(i, in, marks) {
			if !seen[j] {
				seen[j] = true
				out, todo = append(out, j), append(todo, j)
			}
		}
	}
	return out
}

// headOpen reports whether i builds on an entry that is not judged yet. Of
// every knot at least one entry does not.
func (g *graph) headOpen(i int, in set, marks []mark) bool {
	return slices.ContainsFunc(g.entries[i].Heads, func(h event.Hash) bool {
		return marks[g.index[h]] == open && in.has(g.index[h])
	})
}

// seniority is the place in the order of the record that first made the author
// a member: the lower, the longer.
func (g *graph) seniority(e *entry, marks []mark) int {
	for _, i := range g.about[e.Author] {
		if e.past.has(i) && marks[i] == holds {
			return i
		}
	}
	return len(g.entries)
}

package event

import (
	"slices"
)

// State is what is known of one path: a function of the set of leaves that were added, whatever their order and number.
// The zero State knows nothing. States share their slices and vectors; nobody may change them.
type State struct {
	// Live leaves are those that no leaf added here had seen, by hash. More than one are siblings.
	Live []Leaf
	// Witness leaves were seen by others and yet show in their ctx what none of the others shows. Honest authors leave
	// none. They are kept, by hash, so that Covered can always be derived from leaves, and never from a claim.
	Witness []Leaf
	// Covered is the join of the ctx of all leaves ever added.
	Covered Vector
}

// Add is s with l, and whether that differs from s. s is not changed; the result shares with s and keeps l. A pruned
// leaf changes nothing. All leaves of a State must be of one path, which Add does not check.
func (s State) Add(l Leaf) (State, bool) {
	if l.Raw == nil || s.has(l.Hash) {
		return s, false
	}
	next := State{Covered: s.Covered}
	if !l.Event.Ctx.Leq(s.Covered) {
		next.Covered = s.Covered.Join(l.Event.Ctx)
	}
	all := append(slices.Clone(s.leaves()), l)
	if next.Covered.Covers(l.Dot) && !maximal(l, all) {
		return s, false // Covered did not grow: whoever outranks l has its ctx
	}
	// A leaf that was neither live nor maximal before is neither now, so those at hand are enough.
	for _, x := range all {
		if !next.Covered.Covers(x.Dot) {
			next.Live = insert(next.Live, x)
		} else if maximal(x, all) {
			next.Witness = insert(next.Witness, x)
		}
	}
	return next, true
}

func (s State) has(h Hash) bool {
	is := func(l Leaf) bool { return l.Hash == h }
	return slices.ContainsFunc(s.Live, is) || slices.ContainsFunc(s.Witness, is)
}

func (s State) leaves() []Leaf {
	if len(s.Witness) == 0 {
		return s.Live
	}
	return slices.Concat(s.Live, s.Witness)
}

// outranks says whether x makes l superfluous as a witness. It is a strict partial order in which every leaf of a
// finite set is a maximal one or below one, so the maximal leaves can be kept step by step.
func outranks(x, l Leaf) bool {
	if !l.Event.Ctx.Leq(x.Event.Ctx) {
		return false
	}
	return !x.Event.Ctx.Leq(l.Event.Ctx) || x.Hash.Compare(l.Hash) > 0
}

func maximal(l Leaf, all []Leaf) bool {
	return !slices.ContainsFunc(all, func(x Leaf) bool { return outranks(x, l) })
}

func insert(ls []Leaf, l Leaf) []Leaf {
	i, _ := slices.BinarySearchFunc(ls, l, func(a, b Leaf) int { return a.Hash.Compare(b.Hash) })
	return slices.Insert(ls, i, l)
}

// Item is the unit of state reconciliation: two nodes have the same item for p just when they have the same live leaves
// and the same Covered.
func (s State) Item(p Path) [32]byte {
	var scratch [512]byte
	b := appendBlock(append(scratch[:0], domainItem...), []byte(p))
	b = appendCount(b, len(s.Live))
	for _, l := range s.Live {
		b = append(b, l.Hash[:]...)
	}
	return sum(s.Covered.Append(b))
}

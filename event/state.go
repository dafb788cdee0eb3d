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
func (s State) Add(l Leaf) (State, bool) { return s.AddAll([]Leaf{l}) }

// AddAll is [State.Add] for many leaves, whose order does not matter. It costs about as much as adding one of them: where
// somebody says thousands of things about one path, they are to be added together. ls stays the caller's.
func (s State) AddAll(ls []Leaf) (State, bool) {
	if len(ls) == 1 && (ls[0].Raw == nil || s.Has(ls[0].Hash)) {
		return s, false
	}
	all, news := s.candidates(ls)
	if !news {
		return s, false
	}
	next := State{Covered: s.Covered}
	owned := false
	for _, c := range all {
		if ctx := c.leaf.Event.Ctx; c.fresh && !ctx.Leq(next.Covered) {
			if !owned {
				next.Covered, owned = s.Covered.Clone(), true
			}
			next.Covered = next.Covered.grow(ctx)
		}
	}
	// A leaf that was neither live nor maximal before is neither now, so those at hand are enough. Where none of the fresh
	// ones is kept, Covered did not grow: whoever outranks them has their ctx.
	kept := false
	for _, c := range all {
		switch {
		case !next.Covered.Covers(c.leaf.Dot):
			next.Live = append(next.Live, *c.leaf)
		case maximal(c.leaf, all):
			next.Witness = append(next.Witness, *c.leaf)
		default:
			continue
		}
		kept = kept || c.fresh
	}
	if !kept {
		return s, false
	}
	return next, true
}

// candidate is a leaf that may belong to a State.
type candidate struct {
	leaf  *Leaf
	fresh bool
}

// candidates are the leaves of s and those of ls that are not among them, by hash; news says that there are such.
func (s State) candidates(ls []Leaf) (all []candidate, news bool) {
	all = make([]candidate, 0, len(s.Live)+len(s.Witness)+len(ls))
	for _, have := range [][]Leaf{s.Live, s.Witness} {
		for i := range have {
			all = append(all, candidate{leaf: &have[i]})
		}
	}
	for i := range ls {
		if ls[i].Raw != nil {
			all = append(all, candidate{&ls[i], true})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.leaf.Hash.Compare(b.leaf.Hash) })
	all = slices.CompactFunc(all, func(a, b candidate) bool { return a.leaf.Hash == b.leaf.Hash }) // keeps the older
	return all, slices.ContainsFunc(all, func(c candidate) bool { return c.fresh })
}

// Has says whether the leaf of that hash is kept in s.
func (s State) Has(h Hash) bool {
	for _, ls := range [][]Leaf{s.Live, s.Witness} {
		if _, ok := slices.BinarySearchFunc(ls, h, func(l Leaf, h Hash) int { return l.Hash.Compare(h) }); ok {
			return true
		}
	}
	return false
}

func (s State) leaves() []Leaf {
	if len(s.Witness) == 0 {
		return s.Live
	}
	return slices.Concat(s.Live, s.Witness)
}

// outranks says whether x makes l superfluous as a witness. It is a strict partial order in which every leaf of a
// finite set is a maximal one or below one, so the maximal leaves can be kept step by step.
func outranks(x, l *Leaf) bool {
	if !l.Event.Ctx.Leq(x.Event.Ctx) {
		return false
	}
	return !x.Event.Ctx.Leq(l.Event.Ctx) || x.Hash.Compare(l.Hash) > 0
}

func maximal(l *Leaf, all []candidate) bool {
	return !slices.ContainsFunc(all, func(x candidate) bool { return outranks(x.leaf, l) })
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

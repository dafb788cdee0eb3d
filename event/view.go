package event

import (
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
)

// View is what ought to stand at a path, as every node with the same State and the same live children sees it. It
// shares with the State; nobody may change what it points to.
type View struct {
	Value Value // the winner; a tombstone when nothing lives here
	// Base is the join of what each sibling merged into Value had seen, and of those siblings: the ctx of an edit of
	// Value. Dots of losers are not in it on their own account, but a vector covers a writer's earlier events with its
	// later ones: an author that finds its own dot among the losers settles the path before it edits it again.
	Base       Vector
	CDot, MDot Dot
	Prev       []chunker.ID // contents that the path had (up to MaxPrev): the siblings', then older ones
	Implied    bool         // a directory only because something lives below; no event says so
	Losers     []Loser      // values that need a conflict copy, the greatest first
	// Settled says that there is nothing to resolve: all live events say just this value (several do where several
	// nodes settled the path at the same time), or all are tombstones.
	Settled bool
	Author  peer.ID // of the winner; zero where no event says what stands here
	HLC     HLC     // likewise
}

// Loser is a value that was neither seen by the winner's author nor is equal to the winner. Leaf says it, and names the
// copy ([ConflictName]).
type Loser struct {
	Value Value
	Leaf  Leaf
}

// View resolves s. liveKids says whether anything lives below the path.
func (s State) View(liveKids bool) View {
	r := resolver{liveKids: liveKids}
	for _, l := range s.Live {
		if s.leftBehind(l) || s.carried(l) {
			r.stale = append(r.stale, l)
		} else if l.Event.Value.Live() {
			r.alive = append(r.alive, l)
		} else {
			r.tombs = append(r.tombs, l)
		}
	}
	slices.SortFunc(r.alive, r.compare)
	slices.SortFunc(r.tombs, byTime)
	v := r.view()
	differ := func(l Leaf) bool { return !l.Event.Value.Same(v.Value) }
	v.Settled = len(v.Losers) == 0 && !v.Implied && (len(r.alive)+len(r.stale) == 0 || !slices.ContainsFunc(s.Live, differ))
	return v
}

// resolver holds the live leaves of a path, the greatest first.
type resolver struct {
	liveKids     bool
	alive, tombs []Leaf
	stale        []Leaf // left behind: they count as seen, and for nothing else
}

// leftBehind says whether l is content that was found, and that a sibling's author had at the path before: what l's
// author did not remember, the other did, and went on from there. The memory of what was itself found says nothing.
func (s State) leftBehind(l Leaf) bool {
	if !l.Event.Found {
		return false
	}
	id := l.Event.Value.Content()
	return slices.ContainsFunc(s.Live, func(o Leaf) bool {
		if l.Event.Value.Kind == Dir {
			return o.Event.WasDir
		}
		return !o.Event.Found && slices.Contains(o.Event.Prev, id)
	})
}

// carried says whether l only carried on, in settling the path, what somebody has deleted who had seen it: l sets neither
// content nor metadata, so the deletion lacks nothing that anybody did.
func (s State) carried(l Leaf) bool {
	e := l.Event
	if !e.Value.Live() || e.CDot == l.Dot || e.MDot == l.Dot {
		return false
	}
	return slices.ContainsFunc(s.Live, func(o Leaf) bool {
		return !o.Event.Value.Live() && o.seen(e.CDot) && o.seen(e.MDot)
	})
}

// byTime puts later leaves first; leaves of one time by their hash.
func byTime(a, b Leaf) int {
	return cmp.Or(cmp.Compare(b.Event.HLC, a.Event.HLC), b.Hash.Compare(a.Hash))
}

// compare puts the winner first: a directory, then the later, then content and hash. It is a total order. That a
// directory has live children outranks that it is one, but all siblings share the path and so the children.
func (r *resolver) compare(a, b Leaf) int {
	x, y := a.Event.Value, b.Event.Value
	if (x.Kind == Dir) != (y.Kind == Dir) {
		if x.Kind == Dir {
			return -1
		}
		return 1
	}
	if c := cmp.Compare(b.Event.HLC, a.Event.HLC); c != 0 {
		return c
	}
	i, j := x.Content(), y.Content()
	return cmp.Or(Hash(j).Compare(Hash(i)), b.Hash.Compare(a.Hash))
}

func (r *resolver) view() View {
	fresh := r.fresh()
	if len(fresh) == 0 || r.liveKids && fresh[0].Event.Value.Kind != Dir {
		return r.bare(fresh)
	}
	win := fresh[0]
	merged := r.merged(win, fresh)
	meta := metaOf(win, merged)
	v := View{
		Value: win.Event.Value, Base: base(merged, r.tombs, r.stale), CDot: win.Event.CDot, MDot: meta.Event.MDot,
		Prev: r.prev(win), Losers: losers(fresh, win.Event.Value), Author: win.Dot.Writer.Node, HLC: win.Event.HLC,
	}
	v.Value.Mode = meta.Event.Value.Mode
	if win.Event.CDot != win.Dot {
		v.Value.MTime = meta.Event.Value.MTime // the winner only carried the content on
	}
	return v
}

// bare is the view where no live event is to stand at the path: a tombstone, nothing, or a directory implied by what
// lives below it.
func (r *resolver) bare(fresh []Leaf) View {
	v := View{Base: base(r.tombs, r.stale), Prev: r.prev(Leaf{})}
	if len(r.tombs) > 0 {
		top := r.tombs[0]
		v.Value, v.CDot, v.MDot = top.Event.Value, top.Event.CDot, top.Event.MDot
		v.Author, v.HLC = top.Dot.Writer.Node, top.Event.HLC
	}
	if !r.liveKids {
		return v
	}
	v.Implied, v.Value, v.CDot, v.MDot = true, Value{Kind: Dir, Mode: ImpliedMode}, Dot{}, Dot{}
	if i := slices.IndexFunc(r.tombs, func(l Leaf) bool { return l.Event.WasDir }); i >= 0 {
		v.Value.Mode = r.tombs[i].Event.Value.Mode
	}
	v.Losers = losers(fresh, v.Value)
	return v
}

// register is one of the two that an event has: which event set what it says of content, or of metadata.
type register func(*Event) Dot

func content(e *Event) Dot  { return e.CDot }
func metadata(e *Event) Dot { return e.MDot }

// replaced says whether t's author saw what l's register holds, and set another.
func replaced(l, t *Leaf, reg register) bool {
	d := reg(&l.Event)
	return d != reg(&t.Event) && t.seen(d)
}

// carriers are the indexes of those of ls, live leaves of one path, that others may have replaced: they carry on what an
// event before them set. What a live leaf has set itself nobody has seen, but for a leaf of the same dot. So thousands of
// siblings that know nothing of each other are not compared each with each.
func carriers(ls []Leaf, reg register) (out []int) {
	dots := make(map[Dot]int, len(ls))
	for i := range ls {
		dots[ls[i].Dot]++
	}
	for i := range ls {
		if l := &ls[i]; reg(&l.Event) != l.Dot || dots[l.Dot] > 1 {
			out = append(out, i)
		}
	}
	return out
}

// unreplaced are those of ls, in their order, that count: replaced by no other, nor by one that such a one replaced in
// turn. Leaves that replaced each other in a circle count all, so a value is passed over only for one that counts.
func unreplaced(ls []Leaf, reg register) []Leaf {
	if len(ls) < 2 {
		return ls
	}
	open := carriers(ls, reg)
	if len(open) == 0 {
		return ls
	}
	stale := staleOf(ls, open, reg)
	var out []Leaf
	for i, l := range ls {
		if !stale[i] {
			out = append(out, l)
		}
	}
	return out
}

// staleOf marks those of ls that do not count; only the ones in open may be among them.
func staleOf(ls []Leaf, open []int, reg register) []bool {
	first := make([]bool, len(ls)) // replaced by some other
	for _, j := range open {
		for i := range ls {
			if first[j] = replaced(&ls[j], &ls[i], reg); first[j] {
				break
			}
		}
	}
	var queue []int
	for i := range ls {
		if !first[i] {
			queue = append(queue, i)
		}
	}
	stale := make([]bool, len(ls))
	for n := 0; n < len(queue); n++ {
		for _, j := range open {
			if !stale[j] && replaced(&ls[j], &ls[queue[n]], reg) {
				stale[j], queue = true, append(queue, j)
			}
		}
	}
	return stale
}

// fresh are the siblings whose content counts. Where something lives below, a directory that others replaced counts
// again: it is needed, and knows its mode.
func (r *resolver) fresh() []Leaf {
	out := unreplaced(r.alive, content)
	if r.liveKids && len(r.alive) > 0 && r.alive[0].Event.Value.Kind == Dir && out[0].Event.Value.Kind != Dir {
		dirs := slices.DeleteFunc(slices.Clone(r.alive), func(l Leaf) bool { return l.Event.Value.Kind != Dir })
		return append(dirs, out...)
	}
	return out
}

// merged are the siblings that Value stands for: those with the winner's content, and those whose content one of them
// replaced.
func (r *resolver) merged(win Leaf, fresh []Leaf) []Leaf {
	var in, out []Leaf
	for _, l := range r.alive {
		if l.Event.Value.SameContent(win.Event.Value) {
			in = append(in, l)
		} else {
			out = append(out, l)
		}
	}
	if len(in) == 0 || len(out) == 0 {
		return in
	}
	counts := make(map[Hash]bool, len(fresh))
	for i := range fresh {
		counts[fresh[i].Hash] = true
	}
	out = slices.DeleteFunc(out, func(l Leaf) bool { return counts[l.Hash] })
	for i := 0; i < len(in) && len(out) > 0; i++ {
		out = slices.DeleteFunc(out, func(l Leaf) bool {
			if !replaced(&l, &in[i], content) {
				return false
			}
			in = append(in, l)
			return true
		})
	}
	return in
}

// metaOf is the leaf whose mode counts: the latest of the winner's kind whose metadata no other of them replaced.
func metaOf(win Leaf, merged []Leaf) Leaf {
	kin := slices.DeleteFunc(slices.Clone(merged), func(l Leaf) bool { return l.Event.Value.Kind != win.Event.Value.Kind })
	return slices.MinFunc(unreplaced(kin, metadata), byTime)
}

// losers are the other contents among fresh, each by its greatest leaf.
func losers(fresh []Leaf, win Value) []Loser {
	var out []Loser
	known := map[sameness]bool{contentOf(win): true}
	for _, l := range fresh {
		if c := contentOf(l.Event.Value); !known[c] {
			known[c] = true
			out = append(out, Loser{l.Event.Value, l})
		}
	}
	return out
}

func base(groups ...[]Leaf) Vector {
	var v Vector
	for _, ls := range groups {
		for _, l := range ls {
			v = v.grow(l.Event.Ctx).put(l.Dot)
		}
	}
	return v
}

// prev is what the path held besides the winner's content: the siblings' contents, then what the winner knew, then what
// the siblings knew.
func (r *resolver) prev(win Leaf) []chunker.ID {
	var ids []chunker.ID
	now, all := win.Event.Value.Content(), slices.Concat(r.alive, r.tombs, r.stale)
	for _, l := range all {
		if len(ids) == MaxPrev {
			break // the hash of a link's target costs time
		}
		ids = addPrev(ids, now, l.Event.Value.Content())
	}
	ids = addPrev(ids, now, win.Event.Prev...)
	for _, l := range all {
		ids = addPrev(ids, now, l.Event.Prev...)
	}
	return ids
}

// addPrev appends to ids what is new there and not now, up to MaxPrev in all. It owns ids.
func addPrev(ids []chunker.ID, now chunker.ID, more ...chunker.ID) []chunker.ID {
	for _, id := range more {
		if len(ids) < MaxPrev && !id.IsZero() && id != now && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

package event_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bwaklog/meerkat/event"
)

func drawWorld(t *rapid.T, forks bool) *world {
	seed := rapid.Uint64().Draw(t, "seed")
	w := newWorld(rand.New(rand.NewPCG(seed, 1)), rapid.IntRange(2, 5).Draw(t, "nodes"))
	w.run(rapid.IntRange(1, 50).Draw(t, "steps"), forks)
	return w
}

func (w *world) at(p event.Path) (ls []event.Leaf) {
	for _, l := range w.said {
		if l.Event.Path == p {
			ls = append(ls, l)
		}
	}
	return ls
}

func (w *world) paths() []event.Path {
	var ps []event.Path
	for _, l := range w.said {
		if !slices.Contains(ps, l.Event.Path) {
			ps = append(ps, l.Event.Path)
		}
	}
	return ps
}

func TestAnyOrderOfDeliveryGivesOneState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, true)
		for _, p := range w.paths() {
			ls := w.at(p)
			want := stateOf(ls...)
			for range 3 {
				w.rng.Shuffle(len(ls), func(i, j int) { ls[i], ls[j] = ls[j], ls[i] })
				got := stateOf(append(ls, ls[:w.rng.IntN(len(ls)+1)]...)...)
				if !bytes.Equal(got.Encode(), want.Encode()) || got.Item(p) != want.Item(p) {
					t.Fatalf("state of %q depends on the order of %d leaves", p, len(ls))
				}
				if d := cmp.Diff(want.View(true), got.View(true)); d != "" {
					t.Fatalf("view of %q depends on the order: %s", p, d)
				}
			}
			checkDefinition(t, ls, want)
			checkTogether(t, ls, want)
		}
	})
}

// checkTogether adds ls at once, and in two parts.
func checkTogether(t *rapid.T, ls []event.Leaf, want event.State) {
	cut := rapid.IntRange(0, len(ls)).Draw(t, "cut")
	all, moved := event.State{}.AddAll(append(ls, ls[:cut]...))
	if !moved || !bytes.Equal(all.Encode(), want.Encode()) {
		t.Fatalf("added together: moved %v, %s", moved, cmp.Diff(want, all))
	}
	first, _ := event.State{}.AddAll(ls[:cut])
	before := first.Encode()
	both, moved := first.AddAll(ls[cut:])
	if !bytes.Equal(both.Encode(), want.Encode()) || moved == bytes.Equal(before, want.Encode()) {
		t.Fatalf("added in two parts: moved %v, %s", moved, cmp.Diff(want, both))
	}
	if !bytes.Equal(first.Encode(), before) {
		t.Fatal("the state that was added to has changed")
	}
}

// checkDefinition compares a state with what SEMANTICS 2.3 says of the set.
func checkDefinition(t *rapid.T, ls []event.Leaf, s event.State) {
	var covered event.Vector
	for _, l := range ls {
		covered = covered.Join(l.Event.Ctx)
	}
	if !covered.Equal(s.Covered) {
		t.Fatalf("covered = %v, want %v", s.Covered, covered)
	}
	for _, l := range ls {
		live := slices.ContainsFunc(s.Live, func(o event.Leaf) bool { return o.Hash == l.Hash })
		if live == covered.Covers(l.Dot) {
			t.Fatalf("%v: live is %v, covered is %v", l.Dot, live, covered.Covers(l.Dot))
		}
	}
	got, err := event.DecodeState(s.Encode())
	if d := cmp.Diff(s, got); err != nil || d != "" {
		t.Fatalf("decoded state: %v %s", err, d)
	}
}

// Random vectors, as an equivocator could sign them, are beyond what honest histories hold.
func TestLiarsDoNotMakeStatesDiverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		var ls []event.Leaf
		for n := range byte(3) {
			a := newAuthor(n + 1)
			for range 4 {
				var ctx event.Vector
				for m := range byte(3) {
					o := newAuthor(m + 1).head.Writer
					if seq := uint64(rng.IntN(5)); o != a.head.Writer && seq > 0 && rng.IntN(2) == 0 {
						ctx = ctx.With(event.Dot{Writer: o, Seq: seq})
					}
				}
				if rng.IntN(2) == 0 && a.head.Seq > 0 {
					ctx = ctx.With(event.Dot{Writer: a.head.Writer, Seq: a.head.Seq})
				}
				ls = append(ls, a.say(event.Event{Path: "p", Value: file("x", 0o644, rng.Int64N(9)), Ctx: ctx, HLC: 9}))
			}
		}
		want := stateOf(ls...)
		checkDefinition(t, ls, want)
		for range 10 {
			rng.Shuffle(len(ls), func(i, j int) { ls[i], ls[j] = ls[j], ls[i] })
			if got := stateOf(ls...); !bytes.Equal(got.Encode(), want.Encode()) {
				t.Fatalf("order matters:\n%v", cmp.Diff(want, got))
			}
		}
	})
}

func TestHonestHistoriesNeedNoWitness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, false)
		for _, p := range w.paths() {
			if s := stateOf(w.at(p)...); len(s.Witness) != 0 {
				t.Fatalf("%q keeps %d witnesses", p, len(s.Witness))
			}
		}
	})
}

func TestNoLiveValueIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, true)
		for _, p := range w.paths() {
			for _, kids := range []bool{false, true} {
				checkKept(t, stateOf(w.at(p)...), kids)
			}
		}
	})
}

func checkKept(t *rapid.T, s event.State, kids bool) {
	v := s.View(kids)
	for _, l := range s.Live {
		val := l.Event.Value
		kept := !val.Live() || val.SameContent(v.Value) || slices.ContainsFunc(v.Losers, func(o event.Loser) bool {
			return o.Value.SameContent(val)
		})
		seen := slices.ContainsFunc(s.Live, func(o event.Leaf) bool {
			return o.Event.CDot != l.Event.CDot && o.Event.Ctx.With(o.Dot).Covers(l.Event.CDot)
		})
		behind := l.Event.Found && slices.ContainsFunc(s.Live, func(o event.Leaf) bool {
			return !o.Event.Found && (slices.Contains(o.Event.Prev, val.Content()) || val.Kind == event.Dir && o.Event.WasDir)
		})
		if !kept && !seen && !behind {
			t.Fatalf("%v at %v is neither winner nor loser", val, l.Dot)
		}
	}
	for i, l := range v.Losers {
		if !l.Value.Live() || l.Value.Kind == event.Dir || l.Value.SameContent(v.Value) {
			t.Fatalf("%v lost against %v", l.Value, v.Value)
		}
		for _, o := range v.Losers[:i] {
			if o.Value.SameContent(l.Value) {
				t.Fatalf("%v lost twice", l.Value)
			}
		}
	}
}

func TestValuesVanishOnlyWhenSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, false)
		for _, p := range w.paths() {
			ls := w.at(p)
			live := stateOf(ls...).Live
			for _, l := range ls {
				alive := slices.ContainsFunc(live, func(o event.Leaf) bool { return o.Hash == l.Hash })
				seen := slices.ContainsFunc(ls, func(o event.Leaf) bool { return w.sees[o.Hash][l.Hash] })
				if !alive && !seen && l.Event.Value.Live() && !slices.ContainsFunc(ls, func(o event.Leaf) bool {
					return o.Dot.Writer == l.Dot.Writer && o.Dot.Seq > l.Dot.Seq // its own author spoke again
				}) {
					t.Fatalf("%v at %q is gone, and nobody had seen it", l.Dot, p)
				}
			}
		}
	})
}

func TestWinnerIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		vals := []event.Value{{}, {Mode: 0o600}, dir(0o700), dir(0o755), file("a", 0o644, 1), file("b", 0o644, 1), link("a")}
		var ls []event.Leaf
		for i := range byte(3) {
			ls = append(ls, newAuthor(i+1).say(event.Event{
				Path: "p", Value: vals[rng.IntN(len(vals))], HLC: event.HLC(rng.IntN(3)),
			}))
		}
		kids := rng.IntN(2) == 0
		beats := func(a, b event.Leaf) bool {
			x, y := stateOf(a, b).View(kids), stateOf(b, a).View(kids)
			if d := cmp.Diff(x, y); d != "" {
				t.Fatalf("not antisymmetric: %s", d)
			}
			return x.Author == a.Dot.Writer.Node
		}
		live := slices.DeleteFunc(slices.Clone(ls), func(l event.Leaf) bool { return !l.Event.Value.Live() })
		if len(live) == 3 && !stateOf(ls...).View(kids).Implied {
			top := slices.IndexFunc(ls, func(l event.Leaf) bool {
				return l.Dot.Writer.Node == stateOf(ls...).View(kids).Author
			})
			for i, l := range ls {
				if i != top && beats(l, ls[top]) && !stateOf(l, ls[top]).View(kids).Implied {
					t.Fatalf("not transitive: %d beats the winner %d", i, top)
				}
			}
		}
	})
}

func TestSettlingSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, true)
		for _, n := range w.nodes {
			w.gossip(n, 1)
		}
		for _, p := range w.paths() {
			kids := w.nodes[0].liveKids(p)
			before := w.nodes[0].tree[p].View(kids)
			var said [][]event.Event
			for _, n := range w.nodes[:2] {
				said = append(said, event.Settle(p, n.tree[p], kids, n.at, w.tick))
			}
			for i, n := range w.nodes[:2] {
				w.say(n, said[i]...)
			}
			for _, n := range w.nodes {
				w.gossip(n, 1)
			}
			after := w.nodes[0].tree[p].View(kids)
			if !after.Settled || len(after.Losers) > 0 || !after.Value.Same(before.Value) {
				t.Fatalf("%q: %+v was settled to %+v", p, before, after)
			}
			checkCopies(t, w.nodes[0], p, before)
			if es := event.Settle(p, w.nodes[1].tree[p], kids, w.nodes[1].at, w.tick); len(es) != 0 {
				t.Fatalf("%q was settled and still wants %d events", p, len(es))
			}
		}
	})
}

// checkCopies wants each loser of v at its copy's path, or remembered there.
func checkCopies(t *rapid.T, n *simNode, p event.Path, v event.View) {
	for _, l := range v.Losers {
		s := n.tree[event.ConflictName(p, l.Leaf)]
		if got := s.View(false); !got.Value.SameContent(l.Value) && !slices.Contains(got.Prev, l.Value.Content()) {
			t.Fatalf("%q: loser %v has no copy, there is %v", p, l.Value, got.Value)
		}
	}
}

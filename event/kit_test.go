package event_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

var testPool = event.PoolID{1, 2, 3}

// author seals events one by one, as one writer.
type author struct {
	key  crypto.PrivKey
	head event.Head
}

func newAuthor(n byte) *author {
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{n}, 32)))
	if err != nil {
		panic(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		panic(err)
	}
	return &author{key: key, head: event.Head{Writer: event.Writer{Node: id, Epoch: uint64(n)}}}
}

func (a *author) seal(drafts ...event.Event) ([]event.Leaf, error) {
	segs, err := event.Seal(a.key, testPool, a.head, nil, drafts)
	if err != nil {
		return nil, err
	}
	var leaves []event.Leaf
	for _, s := range segs {
		leaves, a.head = append(leaves, s.Leaves...), s.Head()
	}
	return leaves, nil
}

func (a *author) say(e event.Event) event.Leaf {
	ls, err := a.seal(e)
	if err != nil {
		panic(err)
	}
	return ls[0]
}

// twin is a copy of a that will use a's dots again: a fork.
func (a *author) twin() *author { b := *a; return &b }

func file(text string, mode uint16, mtime int64) event.Value {
	m := chunker.Manifest{Size: int64(len(text))}
	if text != "" {
		m.Chunks = []chunker.Chunk{{ID: chunker.Sum([]byte(text)), Size: uint32(len(text))}}
	}
	return event.Value{Kind: event.File, Root: m.Root(), Size: m.Size, Chunks: m.Chunks, Mode: mode, MTime: mtime}
}

func dir(mode uint16) event.Value { return event.Value{Kind: event.Dir, Mode: mode} }

func link(target string) event.Value {
	return event.Value{Kind: event.Link, Target: target, Mode: event.LinkMode, MTime: 7}
}

func stateOf(leaves ...event.Leaf) event.State {
	var s event.State
	for _, l := range leaves {
		s, _ = s.Add(l)
	}
	return s
}

// world is a simulated pool: nodes that hold sets of leaves, speak, and gossip some of them. All of it follows rng.
type world struct {
	rng   *rand.Rand
	nodes []*simNode
	now   event.HLC
	said  []event.Leaf
	// sees is for each event the set of events that its author's disk really held or came from.
	sees map[event.Hash]map[event.Hash]bool
}

type simNode struct {
	a     *author
	tree  map[event.Path]event.State
	holds map[event.Hash]bool
}

func newWorld(rng *rand.Rand, n int) *world {
	w := &world{rng: rng, now: event.HLC(1 << 40), sees: map[event.Hash]map[event.Hash]bool{}}
	for i := range n {
		w.nodes = append(w.nodes, &simNode{newAuthor(byte(i + 1)), map[event.Path]event.State{}, map[event.Hash]bool{}})
	}
	return w
}

// tick is a time that wobbles, for clocks are not to be trusted.
func (w *world) tick() event.HLC {
	w.now += event.HLC(w.rng.IntN(3)) << 16
	return w.now - event.HLC(w.rng.IntN(4))<<16
}

func (n *simNode) at(p event.Path) event.State { return n.tree[p] }

func (n *simNode) take(l event.Leaf) {
	p := l.Event.Path
	n.tree[p], _ = n.tree[p].Add(l)
	n.holds[l.Hash] = true
}

func (n *simNode) liveKids(p event.Path) bool {
	for q, s := range n.tree {
		if q.Under(p) && s.View(false).Value.Live() {
			return true
		}
	}
	return false
}

func (n *simNode) view(p event.Path) event.View { return n.tree[p].View(n.liveKids(p)) }

// say seals drafts at n. basis is what their author had really seen at the first one's path.
func (w *world) say(n *simNode, drafts ...event.Event) {
	for _, e := range drafts {
		before := n.tree[e.Path]
		l := n.say(e)
		w.sees[l.Hash] = map[event.Hash]bool{}
		for _, o := range before.Live {
			if e.Ctx.Covers(o.Dot) {
				w.sees[l.Hash][o.Hash] = true
			}
		}
		w.said = append(w.said, l)
		n.take(l)
	}
}

// say seals e; a node that learns that a clone of it has spoken goes on in a new epoch.
func (n *simNode) say(e event.Event) event.Leaf {
	ls, err := n.a.seal(e)
	if errors.Is(err, event.ErrRewound) {
		n.a.head = event.Head{Writer: event.Writer{Node: n.a.head.Writer.Node, Epoch: n.a.head.Writer.Epoch + 1000}}
		ls, err = n.a.seal(e)
	}
	if err != nil {
		panic(err)
	}
	return ls[0]
}

// settle resolves p at n.
func (w *world) settle(n *simNode, p event.Path) int {
	es := event.Settle(p, n.tree[p], n.liveKids(p), n.at, w.tick)
	w.say(n, es...)
	return len(es)
}

// owes says whether one of n's own edits lost p: then n settles before it edits again.
func (n *simNode) owes(v event.View) bool {
	for _, l := range v.Losers {
		if l.Leaf.Dot.Writer == n.a.head.Writer {
			return true
		}
	}
	return false
}

// edit changes p at n in some way that a person could.
func (w *world) edit(n *simNode, p event.Path) {
	v := n.view(p)
	if n.owes(v) {
		w.settle(n, p)
		v = n.view(p)
	}
	k, now := v.Known(), v.Value
	switch w.rng.IntN(8) {
	case 0:
		now = event.Value{}
	case 1:
		now.Mode = []uint16{0o600, 0o644, 0o755}[w.rng.IntN(3)]
	case 2:
		now.MTime = int64(w.rng.IntN(3) + 1)
	case 3:
		now = dir(0o700)
	case 4:
		now = link(fmt.Sprint(w.rng.IntN(3)))
	default:
		now = file(fmt.Sprint("text ", w.rng.IntN(5)), 0o644, int64(w.rng.IntN(9)+1))
	}
	found := w.rng.IntN(9) == 0
	if found {
		k = event.Known{} // merge mode: the index was lost
	}
	if now.Same(k.Value) || !now.Live() && !k.Value.Live() || v.Implied && !now.Live() {
		return
	}
	e := event.Change(p, k, now, w.tick())
	e.Found = found && now.Live()
	w.say(n, e)
}

// gossip hands some of the events to one node, in any order and some of them again.
func (w *world) gossip(n *simNode, share float64) {
	for _, i := range w.rng.Perm(len(w.said)) {
		if w.rng.Float64() < share {
			n.take(w.said[i])
		}
	}
}

// fork lets a clone of n say something under a dot that n is going to use too.
func (w *world) fork(n *simNode, p event.Path) {
	a, v := n.a.twin(), n.view(p)
	if n.owes(v) {
		return
	}
	ls, err := a.seal(event.Change(p, v.Known(), file(fmt.Sprint("forked ", w.rng.IntN(99)), 0o640, 5), w.tick()))
	if errors.Is(err, event.ErrRewound) {
		return // it noticed that another clone has spoken
	}
	w.said = append(w.said, ls...)
	w.nodes[w.rng.IntN(len(w.nodes))].take(ls[0])
}

var simPaths = []event.Path{"d", "d/f", "n.txt"}

func (w *world) run(steps int, forks bool) {
	for range steps {
		n, p := w.nodes[w.rng.IntN(len(w.nodes))], simPaths[w.rng.IntN(len(simPaths))]
		switch c := w.rng.IntN(20); {
		case c < 9:
			w.edit(n, p)
		case c < 17:
			w.gossip(n, w.rng.Float64())
		case c < 19:
			w.settle(n, p)
		case forks:
			w.fork(n, p)
		}
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

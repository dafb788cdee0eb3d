package pubsub

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/bwaklog/meerkat/event"
)

const proofLength = 600 // of an event in a segment of some hundreds

// states is a Log that holds nothing but a set of states in memory: of each path, named by its key, the set of events. It is
// a model: items are sorted, sums are added up when they are asked for.
type states struct {
	Log    // nil: nothing else may be asked for
	paths  map[event.Key]map[uint64]bool
	sorted []event.Item
	roster map[event.Hash]bool
}

func newStates() *states {
	return &states{paths: map[event.Key]map[uint64]bool{}, roster: map[event.Hash]bool{}}
}

func (s *states) add(k event.Key, e uint64) {
	if s.paths[k] == nil {
		s.paths[k] = map[uint64]bool{}
	}
	s.paths[k][e] = true
	s.sorted = nil
}

func (s *states) all() []event.Item {
	if s.sorted == nil {
		s.sorted = make([]event.Item, 0, len(s.paths))
		for k, es := range s.paths {
			b := binary.BigEndian.AppendUint64(nil, uint64(k))
			for _, e := range slices.Sorted(maps.Keys(es)) {
				b = binary.BigEndian.AppendUint64(b, e)
			}
			s.sorted = append(s.sorted, event.Item{Key: k, Hash: blake3.Sum256(b)})
		}
		slices.SortFunc(s.sorted, func(a, b event.Item) int { return cmp.Compare(a.Key, b.Key) })
	}
	return s.sorted
}

func (s *states) in(r event.Range) []event.Item {
	at := func(k event.Key) int {
		i, _ := slices.BinarySearchFunc(s.all(), k, func(i event.Item, k event.Key) int { return cmp.Compare(i.Key, k) })
		return i
	}
	to := len(s.all())
	if last := r.Last(); last != ^event.Key(0) {
		to = at(last + 1)
	}
	return s.all()[at(r.First()):to]
}

func (s *states) StateSums(r event.Range) (sums [event.FanOut]event.Sum, err error) {
	for _, i := range s.in(r) {
		n := 0
		if r.Depth < event.MaxDepth {
			n = r.PartOf(i.Key)
		}
		sums[n].Add(i.Hash)
	}
	return sums, nil
}

func (s *states) StateItems(r event.Range, max int) ([]event.Item, error) {
	is := s.in(r)
	return slices.Clone(is[:min(len(is), max)]), nil
}

func (s *states) Evidence(keys []event.Key, max int) (evs []event.Proved, left []event.Key, err error) {
	for n, k := range keys {
		if len(evs)*proofLength >= max {
			return evs, keys[n:], nil
		}
		for _, e := range slices.Sorted(maps.Keys(s.paths[k])) {
			raw := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(k)), e)
			evs = append(evs, event.Proved{Raw: raw, Proof: make([]byte, proofLength)})
		}
	}
	return evs, nil, nil
}

func (s *states) Supplement(_ context.Context, _ peer.ID, evs []event.Proved) error {
	for _, e := range evs {
		s.add(event.Key(binary.BigEndian.Uint64(e.Raw)), binary.BigEndian.Uint64(e.Raw[8:]))
	}
	return nil
}

func (s *states) RosterHashes() []event.Hash {
	return slices.SortedFunc(maps.Keys(s.roster), event.Hash.Compare)
}

func (s *states) RosterRecords(hs []event.Hash) (raws [][]byte) {
	for _, h := range hs {
		raws = append(raws, h[:])
	}
	return raws
}

func (s *states) same(o *states) bool {
	return maps.EqualFunc(s.paths, o.paths, maps.Equal[map[uint64]bool]) && maps.Equal(s.roster, o.roster)
}

func (s *states) clone() *states {
	c := newStates()
	for k, es := range s.paths {
		c.paths[k] = maps.Clone(es)
	}
	c.roster = maps.Clone(s.roster)
	return c
}

func (s *states) take(t turn) error {
	for _, raw := range t.records {
		s.roster[event.Hash(raw)] = true
	}
	return s.Supplement(context.Background(), "", t.events)
}

// cost is what a session took.
type cost struct {
	trips, bytes, frame int // frame: the longest one
	cut                 bool
}

// pass sends a message over the wire and back.
func (c *cost) pass(m any) (any, error) {
	raw, err := encode(m)
	if err != nil {
		return nil, err
	}
	c.bytes += len(raw) + 3 // length
	c.frame = max(c.frame, len(raw))
	return decode(raw)
}

// converse has a and b reconcile as trade does, over real frames.
func converse(a, b *states) (c cost, err error) {
	nonce := [nonceSize]byte{1, 2, 3}
	sides, sets := [2]*side{newSide(a, nonce), newSide(b, nonce)}, [2]*states{a, b}
	o := opening{nonce: nonce}
	if o.prints, err = sides[0].prints(event.Range{}); err != nil {
		return c, err
	}
	got, err := c.pass(o)
	if err != nil {
		return c, err
	}
	if err := sides[1].heed(part{prints: got.(opening).prints}); err != nil {
		return c, err
	}
	for n := 2; ; n++ { // messages
		c.trips = n / 2
		c.cut = sides[0].cut || sides[1].cut
		t, err := sides[(n+1)%2].speak()
		if err != nil || t.empty() {
			return c, err
		}
		if n > maxTurns {
			return c, fmt.Errorf("no end after %d turns", n)
		}
		for _, f := range t.frames() {
			m, err := c.pass(f)
			if err != nil {
				return c, err
			}
			heard := m.(turn)
			to := n % 2
			for _, p := range heard.parts {
				if err := sides[to].heed(p); err != nil {
					return c, err
				}
			}
			for _, k := range heard.wants {
				sides[to].offer(k)
			}
			if err := sets[to].take(heard); err != nil {
				return c, err
			}
		}
	}
}

// many is a set of n paths, by a seed.
func many(n int, seed uint64) *states {
	rng, s := rand.New(rand.NewPCG(seed, seed)), newStates()
	for range n {
		s.add(event.Key(rng.Uint64()), rng.Uint64())
	}
	return s
}

// TestTenDifferencesInAMillion: some paths changed on one side, some on the other, some missing on either.
func TestTenDifferencesInAMillion(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	const seed = 7
	a := many(n, seed)
	b := newStates()
	b.paths, b.sorted = maps.Clone(a.paths), a.all()
	if c, err := converse(a, b); err != nil || c.trips != 1 || c.bytes > 400 {
		t.Errorf("equal states: %+v, %v; want 1 round trip and 400 bytes", c, err)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	var keys []event.Key
	for i := range 10 {
		k := a.sorted[rng.IntN(n)].Key
		keys = append(keys, k)
		es := maps.Clone(a.paths[k])
		switch i % 3 {
		case 0:
			es[uint64(i)] = true
			b.paths[k] = es
		case 1:
			a.paths[k] = map[uint64]bool{uint64(i): true}
		case 2:
			delete(b.paths, k)
		}
	}
	a.sorted, b.sorted = nil, nil
	c, err := converse(a, b)
	if err != nil || c.trips > 4 || c.bytes > 100_000 || c.frame > 64<<10 || c.cut {
		t.Errorf("ten differences in %d: %+v, %v; want at most 4 round trips and 100 kB", n, c, err)
	}
	t.Logf("ten differences in %d: %d round trips, %d bytes in all", n, c.trips, c.bytes)
	for _, k := range keys {
		if !maps.Equal(a.paths[k], b.paths[k]) || len(a.paths[k]) == 0 {
			t.Errorf("at %x: %v and %v", uint64(k), a.paths[k], b.paths[k])
		}
	}
}

// TestReconciledIsTheUnion lets two sets have any paths, events and records, in few places or crowded under one prefix, and demands that after
// a few sessions each is the union of both.
func TestReconciledIsTheUnion(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := newStates(), newStates()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		shift := rapid.SampledFrom([]int{0, 8, 40, 56, 60}).Draw(r, "crowd") // keys that share so many bits
		for range rapid.IntRange(0, 2000).Draw(r, "paths") {
			k, e := event.Key(rng.Uint64()>>shift), rng.Uint64N(3)
			for i, s := range []*states{a, b} {
				if rng.IntN(100) < 95 {
					s.add(k, e+uint64(i)*rng.Uint64N(20)/19)
				}
			}
		}
		for i := range rapid.IntRange(0, 5).Draw(r, "records") {
			for _, s := range []*states{a, b} {
				if rng.IntN(2) == 0 {
					s.roster[event.Hash{byte(i)}] = true
				}
			}
		}
		want := a.clone()
		for k, es := range b.paths {
			for e := range es {
				want.add(k, e)
			}
		}
		maps.Copy(want.roster, b.roster)
		for n := 0; ; n++ {
			c, err := converse(a, b)
			if err != nil || c.frame > maxStateFrame {
				r.Fatalf("session: %+v, %v", c, err)
			}
			if !c.cut {
				break
			}
			if n > 20 {
				r.Fatalf("still not all after %d sessions", n)
			}
		}
		if !a.same(want) || !b.same(want) {
			r.Fatalf("%d and %d paths, want %d, or other events of them", len(a.paths), len(b.paths), len(want.paths))
		}
	})
}

// TestEmptyMeetsFull: one side has nothing; sessions are bounded and each brings a part.
func TestEmptyMeetsFull(t *testing.T) {
	a, b := newStates(), many(10_000, 3)
	for n := 1; ; n++ {
		was := len(a.paths)
		c, err := converse(a, b)
		if err != nil || c.bytes > turnSpace {
			t.Fatalf("session %d: %+v, %v", n, c, err)
		}
		if !c.cut {
			break
		}
		if len(a.paths) == was || n > 10 {
			t.Fatalf("session %d brought %d paths", n, len(a.paths)-was)
		}
	}
	if !a.same(b) {
		t.Errorf("%d paths, want %d", len(a.paths), len(b.paths))
	}
}

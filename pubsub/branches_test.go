package pubsub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/store"
)

// tangle is what a member that signs many branches of one log tells each of two honest ones.
type tangle struct {
	w       *world
	key     crypto.PrivKey
	writer  event.Writer
	records []pool.Record
	roster  *pool.Roster
	segs    []event.Segment
}

func newTangle(t *testing.T, dice *rand.Rand, n int) *tangle {
	t.Helper()
	k := &tangle{w: newWorld(t)}
	var err error
	if k.key, _, err = crypto.GenerateEd25519Key(nil); err != nil {
		t.Fatal(err)
	}
	liar, err := peer.IDFromPrivateKey(k.key)
	if err != nil {
		t.Fatal(err)
	}
	k.writer = event.Writer{Node: liar, Epoch: 7}
	genesis, err := pool.Found(k.w.admin, "p", "n", 1<<40)
	if err == nil {
		k.roster, err = pool.NewRoster([]pool.Record{genesis})
	}
	if err != nil {
		t.Fatal(err)
	}
	k.w.pool = k.roster.ID()
	rec, err := k.roster.Admit(k.w.admin, liar, "liar", pool.Writer, 2<<40)
	k.grow(t, rec, err)
	ends := []event.Head{{Writer: k.writer}}
	for i := range n {
		at := ends[max(0, len(ends)-1-dice.IntN(3))]
		k.segs = append(k.segs, k.say(t, dice, at, i)...)
		ends = append(ends, k.segs[len(k.segs)-1].Head())
	}
	return k
}

func (k *tangle) grow(t *testing.T, rec pool.Record, err error) {
	t.Helper()
	if err == nil {
		k.roster, err = k.roster.With(rec)
	}
	if err != nil {
		t.Fatal(err)
	}
	k.records = k.roster.Records()
}

func (k *tangle) say(t *testing.T, dice *rand.Rand, at event.Head, i int) []event.Segment {
	t.Helper()
	var drafts []event.Event
	for j := range 1 + dice.IntN(3) {
		var base event.Vector
		if seq := dice.Uint64N(at.Seq + 1); seq > 0 {
			base = event.Vector{k.writer: seq}
		}
		v := event.Value{Kind: event.Link, Target: fmt.Sprint(i, j), Mode: event.LinkMode, MTime: 1}
		drafts = append(drafts, event.Change(event.Path(fmt.Sprint("p", dice.IntN(6))), event.Known{Base: base}, v, event.HLC(i)<<16+3<<40))
	}
	segs, err := event.Seal(k.key, k.w.pool, at, nil, drafts)
	if err != nil {
		t.Fatal(err)
	}
	return segs
}

// shelf is an honest node's store with some of the segments, in some order.
func (k *tangle) shelf(t *testing.T, dice *rand.Rand) *store.Pool {
	t.Helper()
	p, shut := shelve(t, k.w, filepath.Join(t.TempDir(), "state"))
	t.Cleanup(shut)
	if _, err := p.AddRecords(k.records); err != nil {
		t.Fatal(err)
	}
	for range 2 * len(k.segs) {
		if _, err := p.Append(k.segs[dice.IntN(len(k.segs))]); err != nil && !harmless(err) {
			t.Fatal(err)
		}
	}
	return p
}

func harmless(err error) bool {
	_, gap := errors.AsType[store.ErrGap](err)
	_, fork := errors.AsType[store.ErrFork](err)
	return gap || fork
}

// openShelf is a shelf that takes segments.
type openShelf struct {
	shelf
	count atomic.Int64
}

func (s *openShelf) Append(_ context.Context, _ peer.ID, raws [][]byte) error {
	var segs []event.Segment
	for _, raw := range raws {
		seg, err := event.OpenSegment(s.book.pool, raw)
		if err != nil {
			return err
		}
		segs = append(segs, seg)
	}
	res, err := s.Pool.Append(segs...)
	s.count.Add(int64(len(segs)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked()
	if _, gap := errors.AsType[store.ErrGap](err); gap && res.New == 0 {
		return fmt.Errorf("%w: %w", pubsub.ErrGap, err)
	}
	return nil
}

// TestForkedLogsMeet: whatever part of a forked log each of two members got, and whatever a removal took of it again, they come to the same
// segments and to the same state.
func TestForkedLogsMeet(t *testing.T) {
	t.Parallel()
	seeds := 20
	if testing.Short() {
		seeds = 4
	}
	for _, seed := range append([]uint64{161, 195}, first(seeds)...) { // where branches part at other seqs on both sides
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { meetForked(t, rand.New(rand.NewPCG(seed, 1)), seed%2 == 1) })
	}
}

func first(n int) (seeds []uint64) {
	for i := range n {
		seeds = append(seeds, uint64(i))
	}
	return seeds
}

func meetForked(t *testing.T, dice *rand.Rand, removed bool) {
	k := newTangle(t, dice, 3+dice.IntN(30))
	pools := [2]*store.Pool{k.shelf(t, dice), k.shelf(t, dice)}
	if removed {
		k.remove(t, dice.Uint64N(20))
	}
	k.meet(t, pools, func() bool {
		return pools[0].Stats() == pools[1].Stats() && slices.Equal(pools[0].Extents(), pools[1].Extents())
	})
}

// remove ends the liar's membership.
func (k *tangle) remove(t *testing.T, cut uint64) {
	t.Helper()
	v := event.Vector{}
	if cut > 0 {
		v[k.writer] = cut
	}
	rec, err := k.roster.Remove(k.w.admin, k.writer.Node, v, 4<<40)
	k.grow(t, rec, err)
}

// meet has two members compare until done.
func (k *tangle) meet(t *testing.T, pools [2]*store.Pool, done func() bool) {
	t.Helper()
	conf := brisk
	conf.Doubt, conf.Every = 30*time.Millisecond, time.Second
	var blamed atomic.Int64
	conf.Blame = func(_ event.PoolID, p peer.ID, err error) { blamed.Add(1); t.Logf("%s is blamed: %v", p, err) }
	var nodes []*node
	for _, p := range pools {
		if _, err := p.AddRecords(k.records); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, k.w.nodeOf(conf, func(b *book) pubsub.Log { return &openShelf{shelf: shelf{book: b, Pool: p}} }))
	}
	a, b := nodes[0], nodes[1]
	for _, n := range nodes {
		n.admit(k.w, a.self)
		n.admit(k.w, b.self)
	}
	connect(a, b)
	b.await(t, "they have met", func() bool { b.nudge(); return done() })
	if blamed.Load() > 0 {
		t.Error("one honest member blames the other")
	}
}

// TestStatesMeetWhereLogsCannot: one member has lost a segment from the middle of a log. The other cannot take what comes behind it, so their
// heads stay different; what can be proved of the state it gets all the same.
func TestStatesMeetWhereLogsCannot(t *testing.T) {
	k := newTangle(t, rand.New(rand.NewPCG(1, 2)), 0)
	at, segs := event.Head{Writer: k.writer}, []event.Segment(nil)
	for i := range 3 {
		v := event.Value{Kind: event.Link, Target: "x", Mode: event.LinkMode, MTime: 1}
		draft := event.Change(event.Path(fmt.Sprint("p", i)), event.Known{}, v, event.HLC(i)<<16+3<<40)
		more, err := event.Seal(k.key, k.w.pool, at, nil, []event.Event{draft})
		if err != nil {
			t.Fatal(err)
		}
		at, segs = more[0].Head(), append(segs, more...)
	}
	dir := filepath.Join(t.TempDir(), "state")
	p, shut := shelve(t, k.w, dir)
	if _, err := p.AddRecords(k.records); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Append(segs...); err != nil {
		t.Fatal(err)
	}
	shut()
	lose(t, dir, 1, func(key []byte) bool { return key[5] == 'l' && bytes.HasSuffix(key, segs[1].Hash[:]) })
	p, shut = shelve(t, k.w, dir)
	t.Cleanup(shut)
	q := k.shelf(t, nil)
	if _, err := q.Append(segs[0]); err != nil {
		t.Fatal(err)
	}
	k.meet(t, [2]*store.Pool{p, q}, func() bool {
		v, err := q.View("p2")
		return err == nil && v.Value.Live()
	})
	if slices.Equal(p.Extents(), q.Extents()) {
		t.Error("the logs are equal: this test shows nothing")
	}
}

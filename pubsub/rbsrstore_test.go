package pubsub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/store"
)

// shelf is a book whose logs and states lie in a store.
type shelf struct {
	*book
	*store.Pool
}

func (s *shelf) ID() event.PoolID    { return s.book.pool }
func (s *shelf) Heads() []event.Head { return s.Pool.Extents() }
func (s *shelf) Summary() event.Sum  { return s.Pool.Stats().State }

func (s *shelf) Forked(w event.Writer) (uint64, bool) {
	f, ok := s.Pool.Fork(w)
	return f.From, ok
}

func (s *shelf) Ends(w event.Writer, seq uint64, max int) ([]event.Head, error) {
	return s.Pool.Ends(w, seq, max)
}

func (s *shelf) Has(h event.Head) (bool, error) { return s.Pool.Has(h) }

func (s *shelf) After(w event.Writer, seq uint64, max int) ([][]byte, error) {
	return s.Pool.After(w, seq, max)
}

func (s *shelf) Append(context.Context, peer.ID, [][]byte) error {
	return errors.New("segments came although heads are equal")
}

func (s *shelf) StateSums(r event.Range) ([event.FanOut]event.Sum, error) { return s.Pool.StateSums(r) }

func (s *shelf) StateItems(r event.Range, max int) ([]event.Item, error) {
	return s.Pool.StateItems(r, max)
}

func (s *shelf) Evidence(keys []event.Key, max int) ([]event.Proved, []event.Key, error) {
	return s.Pool.Evidence(keys, max)
}

func (s *shelf) Supplement(_ context.Context, _ peer.ID, evs []event.Proved) error {
	var ss []store.Supplement
	for _, e := range evs {
		l, err := event.VerifyProof(s.book.pool, e.Proof, e.Raw)
		if err != nil {
			return err
		}
		ss = append(ss, store.Supplement{Leaf: l, Proof: e.Proof})
	}
	_, err := s.Pool.Supplement(ss...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked()
	return err
}

// sessions keeps what a feed logs of its sessions.
type sessions struct {
	mu  sync.Mutex
	all []map[string]slog.Value
}

func (s *sessions) Enabled(context.Context, slog.Level) bool { return true }
func (s *sessions) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *sessions) WithGroup(string) slog.Handler            { return s }

func (s *sessions) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "reconciled" {
		return nil
	}
	m := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool { m[a.Key] = a.Value; return true })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, m)
	return nil
}

// library makes two stores of a pool with n paths and the same logs.
func library(t *testing.T, n int) (w *world, dirs [2]string) {
	t.Helper()
	w = newWorld(t)
	genesis, err := pool.Found(w.admin, "p", "n", 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	w.pool = event.PoolID(genesis.Hash)
	segs := said(t, w, n)
	for i := range dirs {
		dirs[i] = filepath.Join(t.TempDir(), "state")
		p, shut := shelve(t, w, dirs[i])
		if _, err := p.AddRecords([]pool.Record{genesis}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Append(segs...); err != nil {
			t.Fatal(err)
		}
		shut()
	}
	return w, dirs
}

func said(t *testing.T, w *world, n int) []event.Segment {
	t.Helper()
	id, err := peer.IDFromPrivateKey(w.admin)
	if err != nil {
		t.Fatal(err)
	}
	var drafts []event.Event
	for i := range n {
		v := event.Value{Kind: event.Link, Target: fmt.Sprint(i), Mode: event.LinkMode, MTime: int64(i)}
		drafts = append(drafts, event.Change(event.Path(fmt.Sprintf("d%03d/file-%07d", i%100, i)), event.Known{}, v, event.HLC(i)<<16+1<<40))
	}
	segs, err := event.Seal(w.admin, w.pool, event.Head{Writer: event.Writer{Node: id, Epoch: 1}}, nil, drafts)
	if err != nil {
		t.Fatal(err)
	}
	return segs
}

func shelve(t *testing.T, w *world, dir string) (*store.Pool, func()) {
	t.Helper()
	d, err := store.Open(store.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Pool(w.pool)
	if err != nil {
		t.Fatal(err)
	}
	return p, func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// forget deletes all that a closed store knows of a path's state, behind its back.
func forget(t *testing.T, dir, name string) {
	t.Helper()
	lose(t, dir, 2, func(k []byte) bool { return bytes.ContainsAny(k[5:6], "tm") && bytes.HasSuffix(k, []byte(name)) })
}

// lose deletes n rows of the pool from a closed store, behind its back.
func lose(t *testing.T, dir string, n int, which func(key []byte) bool) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := 0
	for ok := it.First(); ok; ok = it.Next() {
		if k := it.Key(); k[0] == 'p' && which(k) {
			gone++
			if err := db.Delete(bytes.Clone(k), pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(it.Close(), db.Close()); err != nil || gone != n {
		t.Fatalf("deleted %d rows, want %d: %v", gone, n, err)
	}
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}

// TestALostStateHeals (O-RS-2): of two nodes with the same heads one lost a path. Nobody but the reconciliation of states finds it, within
// four round trips and 100 kB.
func TestALostStateHeals(t *testing.T) {
	t.Parallel()
	n := 20_000
	if testing.Short() {
		n = 5_000
	}
	w, dirs := library(t, n)
	const lost = "file-0001234"
	forget(t, dirs[1], lost)
	seen := &sessions{}
	conf := brisk
	conf.Doubt, conf.Log = 50*time.Millisecond, slog.New(seen)
	var nodes []*node
	var pools []*store.Pool
	for _, dir := range dirs {
		p, shut := shelve(t, w, dir)
		t.Cleanup(shut)
		if faults, err := p.Scrub(t.Context()); err != nil || (len(faults) > 0) != (dir == dirs[1]) {
			t.Fatalf("Scrub = %v, %v", faults, err)
		}
		pools = append(pools, p)
		nodes = append(nodes, w.nodeOf(conf, func(b *book) pubsub.Log { return &shelf{book: b, Pool: p} }))
	}
	a, b := nodes[0], nodes[1]
	for _, n := range nodes {
		n.admit(w, a.self)
		n.admit(w, b.self)
	}
	connect(a, b)
	want := pools[0].Stats()
	b.await(t, "states are equal", func() bool { return pools[1].Stats().State == want.State })
	if got := pools[1].Stats(); got != want || got.Links != int64(n) {
		t.Errorf("healed to %+v, want %+v", got, want)
	}
	b.await(t, "a session has ended", func() bool {
		b.nudge()
		seen.mu.Lock()
		defer seen.mu.Unlock()
		return len(seen.all) > 0
	})
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, s := range seen.all {
		t.Logf("session: %v", s)
		if s["trips"].Int64() > 4 || s["bytes"].Int64() > 100_000 {
			t.Errorf("session %v: want at most 4 round trips and 100 kB", s)
		}
	}
	if moved := a.moved(); moved > 100_000 {
		t.Errorf("%d bytes in all, want at most 100 kB", moved)
	}
	for _, p := range pools {
		if faults, err := p.Verify(false); err != nil || len(faults) > 0 {
			t.Errorf("Verify = %v, %v", faults, err)
		}
	}
}

// TestReconcileOnDemand: who is told to need not wait for a doubt, and equal states take one round trip.
func TestReconcileOnDemand(t *testing.T) {
	w, dirs := library(t, 300)
	seen := &sessions{}
	conf := brisk
	conf.Log = slog.New(seen)
	var nodes []*node
	for _, dir := range dirs {
		p, shut := shelve(t, w, dir)
		t.Cleanup(shut)
		nodes = append(nodes, w.nodeOf(conf, func(b *book) pubsub.Log { return &shelf{book: b, Pool: p} }))
	}
	a, b := nodes[0], nodes[1]
	for _, n := range nodes {
		n.admit(w, a.self)
		n.admit(w, b.self)
	}
	connect(a, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.feed.Reconcile(ctx, w.pool, b.self); err != nil {
		t.Fatal(err)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.all) != 1 || seen.all[0]["trips"].Int64() != 1 || seen.all[0]["bytes"].Int64() > 500 {
		t.Errorf("sessions = %v, want one of one round trip", seen.all)
	}
}

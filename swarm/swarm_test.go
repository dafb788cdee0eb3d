package swarm_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/swarm"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestFileFromOnePeer(t *testing.T) {
	a, b := newNode(t, quick), newNode(t, quick)
	f := newFile(t, 1, 20<<20)
	a.shelf.add(f)
	connect(t, b, a)
	mustFetch(t, b, f.wants(), peersOf(a))
	if in, _ := b.Counters(); in < 20<<20 || in > 21<<20 {
		t.Errorf("%d bytes in for a file of %d", in, 20<<20)
	}
	if _, out := a.Counters(); out < 20<<20 || out > 21<<20 {
		t.Errorf("%d bytes out for a file of %d", out, 20<<20)
	}
	if in, _ := b.Rates(); in <= 0 {
		t.Errorf("rate in = %v right after a transfer", in)
	}
}

func TestManySmallWantsInFewRounds(t *testing.T) {
	a, b := newNode(t, quick), newNode(t, quick)
	var wants []swarm.Want
	for i := range 10_000 {
		c := noise(uint64(i), 1000+i%3000)
		wants = append(wants, swarm.Want{ID: a.shelf.put(c), Size: uint32(len(c))})
	}
	connect(t, b, a)
	start := time.Now()
	got := mustFetch(t, b, wants, peersOf(a))
	if in, _ := b.Counters(); float64(in) > 1.02*float64(got.bytes.Load()) {
		t.Errorf("%d bytes in for %d", in, got.bytes.Load())
	}
	t.Logf("10,000 small chunks in %v", time.Since(start))
}

func TestSeveralSourcesShareTheWork(t *testing.T) {
	f := newFile(t, 2, 32<<20)
	b := newNode(t, quick)
	var sources []*node
	for range 3 {
		a := newNode(t, quick)
		a.shelf.add(f)
		a.shelf.read = slowly(2 * time.Millisecond)
		sources = append(sources, a)
	}
	connect(t, b, sources...)
	mustFetch(t, b, f.wants(), peersOf(sources...))
	for i, a := range sources {
		if n := a.shelf.served.Load(); n < 32<<20/10 {
			t.Errorf("source %d served %d of %d", i, n, 32<<20)
		}
	}
}

func slowly(d time.Duration) func(context.Context, chunker.ID, []byte) ([]byte, error) {
	return func(ctx context.Context, _ chunker.ID, b []byte) ([]byte, error) {
		select {
		case <-time.After(d):
			return b, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func TestSourceKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	f := newFile(t, 3, 32<<20)
	b, a, c := newNode(t, quick), newNode(t, quick), newNode(t, quick)
	var once sync.Once
	killed := make(chan struct{})
	for _, n := range []*node{a, c} {
		n.shelf.add(f)
		n.shelf.read = slowly(2 * time.Millisecond)
	}
	a.shelf.read = func(ctx context.Context, _ chunker.ID, b []byte) ([]byte, error) {
		if a.shelf.served.Load() > 4<<20 {
			once.Do(func() { go func() { a.stop(); close(killed) }() })
		}
		return b, nil
	}
	connect(t, b, a, c)
	mustFetch(t, b, f.wants(), peersOf(a, c))
	<-killed
}

func TestMissingIsAskedOfAnother(t *testing.T) {
	b, a, c := newNode(t, quick), newNode(t, quick), newNode(t, quick)
	var wants []swarm.Want
	for i := range 2000 {
		n := []*node{a, c}[i%2]
		chunk := noise(uint64(i), 2000)
		wants = append(wants, swarm.Want{ID: n.shelf.put(chunk), Size: 2000})
	}
	connect(t, b, a, c)
	mustFetch(t, b, wants, peersOf(a, c))
}

func TestWhatNobodyHasIsIncomplete(t *testing.T) {
	t.Parallel()
	b, a, c := newNode(t, quick), newNode(t, quick), newNode(t, quick)
	here := a.shelf.put([]byte("here"))
	broken := a.shelf.put([]byte("broken"))
	a.shelf.read = func(_ context.Context, id chunker.ID, c []byte) ([]byte, error) {
		if id == broken {
			return nil, swarm.ErrUnreadable
		}
		return c, nil
	}
	nowhere := chunker.Sum([]byte("nowhere"))
	connect(t, b, a, c)
	gone := newNode(t, quick) // never connected
	start := time.Now()
	got, err := b.fetch(t.Context(), []swarm.Want{{ID: here, Size: 4}, {ID: broken, Size: 6}, {ID: nowhere, Size: 7}}, peersOf(a, c, gone))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || len(inc.Missing) != 2 || got.puts.Load() != 1 {
		t.Fatalf("Fetch = %v, %d puts; want 2 missing and 1 put", err, got.puts.Load())
	}
	if d := time.Since(start); d < quick.Patience || d > 3*quick.Patience {
		t.Errorf("gave up after %v, want about %v", d, quick.Patience)
	}
	if why := inc.Why[gone.host.ID()]; why != "not connected" {
		t.Errorf("why of a peer that is away: %q", why)
	}
	if inc.Why[c.host.ID()] == "" || inc.Why[a.host.ID()] == "" {
		t.Errorf("no reason in %v", inc.Why)
	}
}

func TestStalledPeerLosesItsRequests(t *testing.T) {
	t.Parallel()
	f := newFile(t, 6, 8<<20)
	b, stuck, good := newNode(t, quick), newNode(t, quick), newNode(t, quick)
	stuck.shelf.add(f)
	good.shelf.add(f)
	stuck.shelf.read = func(ctx context.Context, _ chunker.ID, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	connect(t, b, stuck, good)
	mustFetch(t, b, f.wants(), peersOf(stuck, good))
}

func TestLonelyStalledPeerIsGivenUp(t *testing.T) {
	t.Parallel()
	f := newFile(t, 6, 1<<20)
	b, stuck := newNode(t, quick), newNode(t, quick)
	stuck.shelf.add(f)
	stuck.shelf.read = slowly(time.Hour)
	connect(t, b, stuck)
	_, err := b.fetch(t.Context(), f.wants(), peersOf(stuck))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || inc.Why[stuck.host.ID()] != "stalled" {
		t.Errorf("Fetch = %v %+v, want Incomplete because it stalled", err, inc)
	}
}

func TestPeerThatComesLateHelps(t *testing.T) {
	f := newFile(t, 7, 4<<20)
	b, a := newNode(t, quick), newNode(t, quick)
	a.shelf.add(f)
	var calls atomic.Int64
	mustFetch(t, b, f.wants(), func() []peer.ID {
		if calls.Add(1) < 4 {
			return nil
		}
		connect(t, b, a)
		return []peer.ID{a.host.ID()}
	})
}

func TestStrangerGetsNothing(t *testing.T) {
	t.Parallel()
	f := newFile(t, 8, 1<<20)
	b, a := newNode(t, quick), newNode(t, quick)
	a.shelf.add(f)
	a.shelf.deny(b.host.ID())
	connect(t, b, a)
	_, err := b.fetch(t.Context(), f.wants(), peersOf(a))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || len(inc.Missing) != len(f.chunks) || inc.Why[a.host.ID()] != "refused" {
		t.Errorf("Fetch = %v %+v, want Incomplete because it was refused", err, inc)
	}
	if n := a.shelf.reads.Load(); n != 0 {
		t.Errorf("%d chunks were read for a stranger", n)
	}
}

func TestRemovalTakesEffectInTheMiddle(t *testing.T) {
	t.Parallel()
	f := newFile(t, 9, 8<<20)
	b, a := newNode(t, quick), newNode(t, quick)
	a.shelf.add(f)
	a.shelf.read = func(_ context.Context, _ chunker.ID, c []byte) ([]byte, error) {
		if a.shelf.served.Load() > 1<<20 {
			a.shelf.deny(b.host.ID())
		}
		return c, nil
	}
	connect(t, b, a)
	got, err := b.fetch(t.Context(), f.wants(), peersOf(a))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || got.bytes.Load() > 4<<20 {
		t.Errorf("Fetch = %v with %d bytes, want Incomplete soon after 1 MiB", err, got.bytes.Load())
	}
}

func TestReceiversFeedEachOther(t *testing.T) {
	t.Parallel()
	const size = 48 << 20
	f := newFile(t, 10, size)
	seed := newNode(t, quick)
	seed.shelf.add(f)
	seed.shelf.read = slowly(4 * time.Millisecond) // slower than the receivers are to each other
	receivers := []*node{newNode(t, quick), newNode(t, quick), newNode(t, quick)}
	all := append([]*node{seed}, receivers...)
	for i, r := range receivers {
		r.shelf.know(f)
		connect(t, r, all[:i+1]...)
	}
	var g sync.WaitGroup
	for _, r := range receivers {
		g.Go(func() {
			if _, err := r.fetch(t.Context(), f.wants(), peersOf(all...)); err != nil {
				t.Errorf("Fetch: %v", err)
			}
		})
	}
	g.Wait()
	copies := float64(seed.shelf.served.Load()) / size
	t.Logf("the seed served %.2f copies to 3 receivers", copies)
	if copies > 1.7 {
		t.Errorf("the seed served %.2f copies to 3 receivers, want about one", copies)
	}
}

func TestBlocksAndTwinsAndUnknownSizes(t *testing.T) {
	b, a := newNode(t, quick), newNode(t, quick)
	block := noise(11, 300_000)
	id := chunker.Sum(block)
	a.shelf.blocks[id] = block
	twin := a.shelf.put([]byte("twin"))
	wants := []swarm.Want{{ID: twin, Size: 4, Index: 1}, {ID: id, Block: true}, {ID: twin, Size: 4, Index: 2}}
	connect(t, b, a)
	mustFetch(t, b, wants, peersOf(a))
	if n := a.shelf.reads.Load(); n != 2 {
		t.Errorf("%d reads for two contents", n)
	}
	mustFetch(t, b, nil, peersOf(a))
	if _, err := b.fetch(t.Context(), []swarm.Want{{ID: twin, Size: chunker.MaxChunk + 1}}, peersOf(a)); err == nil {
		t.Error("a want above MaxChunk gave no error")
	}
}

func TestPutErrorEndsTheFetch(t *testing.T) {
	f := newFile(t, 12, 8<<20)
	b, a := newNode(t, quick), newNode(t, quick)
	a.shelf.add(f)
	connect(t, b, a)
	full := errors.New("disk full")
	var progress atomic.Int64
	err := b.Fetch(t.Context(), swarm.Request{
		Pool: pool, Peers: peersOf(a), Wants: f.wants(), Progress: func(n int64) { progress.Add(n) },
		Put: func(w swarm.Want, _ []byte) error {
			if w.Index == 20 {
				return full
			}
			return nil
		},
	})
	if !errors.Is(err, full) {
		t.Errorf("Fetch = %v, want %v", err, full)
	}
	if progress.Load() == 0 {
		t.Error("no progress was told")
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	f := newFile(t, 13, 4<<20)
	b, a := newNode(t, quick), newNode(t, quick)
	a.shelf.add(f)
	ctx, cancel := context.WithCancel(t.Context())
	a.shelf.read = func(ctx context.Context, _ chunker.ID, _ []byte) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	connect(t, b, a)
	if _, err := b.fetch(ctx, f.wants(), peersOf(a)); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch = %v, want Canceled", err)
	}
}

func TestNoGoroutineStays(t *testing.T) {
	f := newFile(t, 14, 4<<20)
	before := runtime.NumGoroutine()
	b, a := newNode(t, quick), newNode(t, quick)
	a.shelf.add(f)
	a.shelf.read = slowly(time.Millisecond)
	connect(t, b, a)
	mustFetch(t, b, f.wants(), peersOf(a))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.fetch(ctx, f.wants(), peersOf(a)); err == nil {
		t.Error("Fetch ended before its context")
	}
	buf := make([]byte, 4<<20)
	within(t, func() error { // streams of the fetch end on the other side as soon as the reset is there
		if s := string(buf[:runtime.Stack(buf, true)]); strings.Contains(s, "swarm.(*server)") || strings.Contains(s, "swarm.(*lane)") || strings.Contains(s, "swarm.(*link)") {
			return errors.New(s)
		}
		return nil
	})
	a.stop()
	b.stop()
	within(t, func() error {
		if now := runtime.NumGoroutine(); now > before+2 {
			return fmt.Errorf("%d goroutines, before %d:\n%s", now, before, buf[:runtime.Stack(buf, true)])
		}
		return nil
	})
}

// within gives ok five seconds to come true.
func within(t *testing.T, ok func() error) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for err := ok(); err != nil; err = ok() {
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

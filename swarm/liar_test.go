package swarm_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/swarm"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestLiarIsBarredAndDoesNoHarm(t *testing.T) {
	t.Parallel()
	f := newFile(t, 4, 8<<20)
	b, liar, honest := newNode(t, quick), newNode(t, quick), newNode(t, quick)
	liar.shelf.add(f)
	honest.shelf.add(f)
	liar.shelf.read = func(_ context.Context, _ chunker.ID, c []byte) ([]byte, error) {
		bad := bytes.Clone(c)
		bad[len(bad)/2] ^= 1
		return bad, nil
	}
	connect(t, b, liar, honest)
	mustFetch(t, b, f.wants(), peersOf(liar, honest))
	before := liar.shelf.reads.Load()
	_, err := b.fetch(t.Context(), f.wants(), peersOf(liar))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || len(inc.Missing) != len(f.chunks) || !strings.Contains(inc.Why[liar.host.ID()], "wrong bytes") {
		t.Errorf("Fetch from a barred liar = %v (%+v), want Incomplete because of wrong bytes", err, inc)
	}
	if now := liar.shelf.reads.Load(); now != before {
		t.Errorf("a barred peer was asked %d more times", now-before)
	}
}

// A file that changes without its stat telling (a page written through a mapping) is sent as it lies when it was asked for
// so. Whoever sent it is honest: it looks when it is asked again, says so, and everything else is had of it.
func TestChangedUnderAnHonestPeerIsNoLie(t *testing.T) {
	t.Parallel()
	f := newFile(t, 15, 8<<20)
	var blamed atomic.Int64
	c := quick
	c.Blame = func(swarm.Pool, peer.ID, error) { blamed.Add(1) }
	b, a := newNode(t, c), newNode(t, quick)
	a.shelf.add(f)
	bad := f.chunks[len(f.chunks)/2].ID
	a.shelf.rotten = func(id chunker.ID, b []byte) []byte {
		if id != bad {
			return b
		}
		b = bytes.Clone(b)
		b[0] ^= 1
		return b
	}
	connect(t, b, a)
	got, err := b.fetch(t.Context(), f.wants(), peersOf(a))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || len(inc.Missing) != 1 || inc.Missing[0].ID != bad || int(got.puts.Load()) != len(f.chunks)-1 {
		t.Fatalf("Fetch = %v, %d puts of %d; want all but the chunk that changed", err, got.puts.Load(), len(f.chunks))
	}
	if why := inc.Why[a.host.ID()]; why != swarm.ErrChanged.Error() || blamed.Load() != 0 {
		t.Errorf("why: %q, blamed %d times; want %q and no blame", why, blamed.Load(), swarm.ErrChanged)
	}
	a.shelf.rotten = nil
	mustFetch(t, b, f.wants(), peersOf(a)) // nobody is barred
}

// A liar costs no more than what was under way: it is asked to verify after its first wrong chunk, and barred after the next.
func TestLiarInEveryFormIsBarred(t *testing.T) {
	t.Parallel()
	f := newFile(t, 16, 64<<20)
	var blamed atomic.Int64
	c := quick
	c.Blame = func(swarm.Pool, peer.ID, error) { blamed.Add(1) }
	b, a := newNode(t, c), newNode(t, quick)
	a.shelf.add(f)
	a.shelf.lies = true
	a.shelf.rotten = func(_ chunker.ID, b []byte) []byte { return make([]byte, len(b)) }
	connect(t, b, a)
	got, err := b.fetch(t.Context(), f.wants(), peersOf(a))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || got.puts.Load() != 0 || !strings.Contains(inc.Why[a.host.ID()], "wrong bytes") || blamed.Load() == 0 {
		t.Errorf("Fetch = %v (%v), %d puts, blamed %d times; want Incomplete because of wrong bytes", err, inc, got.puts.Load(), blamed.Load())
	}
	if in, _ := b.Counters(); in > 24<<20 {
		t.Errorf("a liar sent %d bytes before it was barred", in)
	}
}

func TestWrongLengthIsALie(t *testing.T) {
	t.Parallel()
	b, a := newNode(t, quick), newNode(t, quick)
	id := a.shelf.put(noise(5, 5000))
	connect(t, b, a)
	_, err := b.fetch(t.Context(), []swarm.Want{{ID: id, Size: 4999}}, peersOf(a))
	var inc *swarm.Incomplete
	if !errors.As(err, &inc) || !strings.Contains(inc.Why[a.host.ID()], "wrong bytes") {
		t.Errorf("Fetch = %v, want Incomplete because of wrong bytes", err)
	}
}

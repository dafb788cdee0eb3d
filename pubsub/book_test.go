package pubsub_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
)

// book is a pubsub.Log in memory. Its roster records are signed by an admin: 64 bytes of signature, then '+' or '-', then a
// peer id; a removal beats all admissions.
type book struct {
	stateless
	self  peer.ID
	pool  event.PoolID
	admin crypto.PubKey

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	recs    map[event.Hash][]byte
	logs    map[event.Writer][]event.Segment
	reports map[string][]byte
	from    []peer.ID       // who handed segments over
	calls   int             // of Append
	raws    map[string]bool // passed to Append
	failing error           // what Append gives, if not nil
	hold    chan struct{}   // Append waits for it, if not nil
}

func newBook(self peer.ID, pool event.PoolID, admin crypto.PubKey) *book {
	return &book{
		self: self, pool: pool, admin: admin, changed: make(chan struct{}),
		recs: map[event.Hash][]byte{}, logs: map[event.Writer][]event.Segment{}, reports: map[string][]byte{}, raws: map[string]bool{},
	}
}

func (b *book) tellLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// await waits until ok holds; it is asked, unlocked, at each change.
func (b *book) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		b.mu.Lock()
		c := b.changed
		b.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-c:
		case <-late:
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

func (b *book) ID() event.PoolID { return b.pool }
func (b *book) Topic() string    { return fmt.Sprintf("topic-%x", b.pool[:8]) }

func (b *book) has(kind byte, p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, raw := range b.recs {
		if raw[64] == kind && string(raw[65:]) == string(p) {
			return true
		}
	}
	return false
}

func (b *book) Member(p peer.ID) bool  { return b.has('+', p) && !b.has('-', p) }
func (b *book) Removed(p peer.ID) bool { return b.has('-', p) }

func (b *book) RosterHashes() []event.Hash {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Keys(b.recs), event.Hash.Compare)
}

func (b *book) RosterDigest() event.Hash {
	h := blake3.New()
	for _, x := range b.RosterHashes() {
		_, _ = h.Write(x[:])
	}
	return event.Hash(h.Sum(nil))
}

func (b *book) RosterRecords(hs []event.Hash) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var raws [][]byte
	for _, h := range hs {
		if raw := b.recs[h]; raw != nil {
			raws = append(raws, raw)
		}
	}
	return raws
}

func (b *book) AddRosterRecords(_ context.Context, _ peer.ID, raws [][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, raw := range raws {
		if len(raw) < 66 {
			continue
		}
		if ok, err := b.admin.Verify(raw[64:], raw[:64]); err == nil && ok {
			b.recs[blake3.Sum256(raw)] = raw
		}
	}
	b.tellLocked()
	return nil
}

func (b *book) Refused(peer.ID, error) {}

// Forked: no log forks in these tests.
func (b *book) Forked(event.Writer) (uint64, bool) { return 0, false }

func (b *book) Ends(event.Writer, uint64, int) ([]event.Head, error) { return nil, nil }

func (b *book) Has(event.Head) (bool, error) { return false, nil }

func (b *book) Heads() []event.Head {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hs []event.Head
	for _, l := range b.logs {
		hs = append(hs, l[len(l)-1].Head())
	}
	return hs
}

func (b *book) Summary() (s event.Sum) {
	for _, h := range b.Heads() {
		s.Add(h.Hash)
	}
	return s
}

// stateless answers for the State of a book whose state is its logs alone.
type stateless struct{}

func (stateless) StateSums(event.Range) (sums [event.FanOut]event.Sum, err error) { return sums, nil }

func (stateless) StateItems(event.Range, int) ([]event.Item, error) { return nil, nil }

func (stateless) Evidence([]event.Key, int) ([]event.Proved, []event.Key, error) {
	return nil, nil, nil
}

func (stateless) Supplement(context.Context, peer.ID, []event.Proved) error { return nil }

func (b *book) After(w event.Writer, seq uint64, max int) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var raws [][]byte
	size := 0
	for _, s := range b.logs[w] {
		if s.Last() <= seq {
			continue
		}
		if size += len(s.Raw); len(raws) > 0 && size > max {
			break
		}
		raws = append(raws, s.Raw)
	}
	return raws, nil
}

func (b *book) Append(_ context.Context, from peer.ID, raws [][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.tellLocked()
	b.calls++
	for _, raw := range raws {
		b.raws[string(raw)] = true
	}
	b.from = append(b.from, from)
	if hold := b.hold; hold != nil {
		b.tellLocked()
		b.mu.Unlock()
		<-hold
		b.mu.Lock()
	}
	if b.failing != nil {
		return b.failing
	}
	for _, raw := range raws {
		s, err := event.OpenSegment(b.pool, raw)
		if err != nil {
			return err
		}
		l := b.logs[s.Writer]
		var have uint64
		if len(l) > 0 {
			have = l[len(l)-1].Last()
		}
		switch {
		case s.Last() <= have:
		case s.First > have+1:
			return fmt.Errorf("%s has %d: %w", s.Writer, have, pubsub.ErrGap)
		default:
			b.logs[s.Writer] = append(l, s)
		}
	}
	return nil
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = err
}

func (b *book) appends() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// Reports in tests are a name, a space and whatever; a greater one replaces a lesser of the same name.
func (b *book) Report(_ context.Context, _ peer.ID, raw []byte) {
	name, _, _ := strings.Cut(string(raw), " ")
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes.Compare(raw, b.reports[name]) > 0 {
		b.reports[name] = slices.Clone(raw)
	}
	b.tellLocked()
}

func (b *book) Reports() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.reports))
}

func (b *book) report(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.reports[name])
}

func (b *book) seq(w event.Writer) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.logs[w]; len(l) > 0 {
		return l[len(l)-1].Last()
	}
	return 0
}

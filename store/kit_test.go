package store_test

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// author is a member that signs events.
type author struct {
	key  crypto.PrivKey
	id   peer.ID
	head event.Head
	pool event.PoolID
}

// say seals drafts behind what the author said before.
func (a *author) say(t testing.TB, drafts ...event.Event) []event.Segment {
	t.Helper()
	segs, err := event.Seal(a.key, a.pool, a.head, nil, drafts)
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	a.head = segs[len(segs)-1].Head()
	return segs
}

// clan is a pool with n members, all of whom may write; the first founded it.
type clan struct {
	id      event.PoolID
	records []pool.Record
	roster  *pool.Roster
	authors []*author
	clock   event.HLC
}

func (c *clan) now() event.HLC { c.clock += 1 << 16; return c.clock }

func newKey(t testing.TB, seed string) (crypto.PrivKey, peer.ID) {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	key, _, err := crypto.GenerateEd25519Key(&endless{sum[:]})
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

type endless struct{ b []byte }

func (e *endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], e.b)
	}
	return len(p), nil
}

func newClan(t testing.TB, n int) *clan {
	t.Helper()
	c := &clan{clock: event.HLC(1_700_000_000_000 << 16)}
	key, id := newKey(t, "0")
	genesis, err := pool.Found(key, "clan", "node0", c.now())
	if err != nil {
		t.Fatal(err)
	}
	if c.roster, err = pool.NewRoster([]pool.Record{genesis}); err != nil {
		t.Fatal(err)
	}
	c.id = c.roster.ID()
	c.authors = []*author{c.author(key, id)}
	for i := 1; i < n; i++ {
		k, id := newKey(t, fmt.Sprint(i))
		rec, err := c.roster.Admit(key, id, fmt.Sprint("node", i), pool.Writer, c.now())
		c.grow(t, rec, err)
		c.authors = append(c.authors, c.author(k, id))
	}
	c.records = c.roster.Records()
	return c
}

func (c *clan) grow(t testing.TB, rec pool.Record, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if c.roster, err = c.roster.With(rec); err != nil {
		t.Fatal(err)
	}
	c.records = c.roster.Records()
}

func (c *clan) author(key crypto.PrivKey, id peer.ID) *author {
	w := event.Writer{Node: id, Epoch: 7}
	return &author{key: key, id: id, pool: c.id, head: event.Head{Writer: w}}
}

func open(t testing.TB, fs vfs.FS, dir string) *store.DB {
	t.Helper()
	d, err := store.Open(store.Config{Dir: dir, FS: fs, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return d
}

// openClan opens a fresh store that knows c's roster.
func openClan(t testing.TB, c *clan) *store.Pool {
	t.Helper()
	d := open(t, vfs.NewMem(), "state")
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return enter(t, d, c)
}

func enter(t testing.TB, d *store.DB, c *clan) *store.Pool {
	t.Helper()
	p, err := d.Pool(c.id)
	if err != nil {
		t.Fatalf("pool: %v", err)
	}
	if _, err := p.AddRecords(c.records); err != nil {
		t.Fatalf("add records: %v", err)
	}
	return p
}

// manifest is that of a made-up file of n chunks.
func manifest(text string, n int) chunker.Manifest {
	m := chunker.Manifest{}
	min, _, _ := chunker.Small.Sizes()
	for i := range n {
		k := chunker.Chunk{ID: chunker.Sum(fmt.Append(nil, text, i)), Size: uint32(min + i%100)}
		m.Chunks, m.Size = append(m.Chunks, k), m.Size+int64(k.Size)
	}
	return m
}

// value is a file with that manifest.
func value(m chunker.Manifest) event.Value {
	v := event.Value{Kind: event.File, Root: m.Root(), Size: m.Size, Class: m.Class, Mode: 0o644, MTime: 1_700_000_000_123_456_789}
	if len(m.Chunks) <= event.MaxInline {
		v.Chunks = m.Chunks
	}
	return v
}

// file is a small file that says text.
func file(text string) event.Value { return value(manifest(text, 1)) }

var dirValue = event.Value{Kind: event.Dir, Mode: 0o755}

func stat(n int, v event.Value) store.Stat {
	return store.Stat{Dev: 2049, Ino: uint64(n), Size: v.Size, MTime: v.MTime, CTime: v.MTime + 5, Mode: uint32(v.Mode)}
}

func have(n int, v event.Value) store.Have {
	return store.Have{Known: event.Known{Value: v}, Stat: stat(n, v)}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

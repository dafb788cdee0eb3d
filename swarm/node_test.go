package swarm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/swarm"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	mux "github.com/libp2p/go-yamux/v5"
)

var pool = swarm.Pool{7}

// shelf is a source in memory.
type shelf struct {
	mu     sync.Mutex
	chunks map[chunker.ID][]byte
	blocks map[chunker.ID][]byte
	files  map[chunker.ID][]chunker.Chunk // by root
	denied map[peer.ID]bool
	served atomic.Int64
	reads  atomic.Int64

	read func(ctx context.Context, id chunker.ID, b []byte) ([]byte, error) // changes what is read

	rotten func(id chunker.ID, b []byte) []byte // what lies on the disk by now
	lies   bool                                 // and is sent all the same
}

func newShelf() *shelf {
	return &shelf{
		chunks: map[chunker.ID][]byte{}, blocks: map[chunker.ID][]byte{},
		files: map[chunker.ID][]chunker.Chunk{}, denied: map[peer.ID]bool{},
	}
}

func (s *shelf) Allowed(p swarm.Pool, id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p == pool && !s.denied[id]
}

func (s *shelf) deny(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[id] = true
}

func (s *shelf) Read(ctx context.Context, _ swarm.Pool, q swarm.Query, dst []byte) (int, error) {
	s.reads.Add(1)
	s.mu.Lock()
	b, ok := s.chunks[q.ID]
	if q.Block {
		b, ok = s.blocks[q.ID]
	}
	s.mu.Unlock()
	if !ok {
		return 0, swarm.ErrMissing
	}
	if s.read != nil {
		var err error
		if b, err = s.read(ctx, q.ID, b); err != nil {
			return 0, err
		}
	}
	if s.rotten != nil {
		b = s.rotten(q.ID, b)
		if !q.Plain && !q.Block && !s.lies && chunker.Sum(b) != q.ID {
			return 0, swarm.ErrChanged
		}
	}
	s.served.Add(int64(len(b)))
	return copy(dst, b), nil
}

func (s *shelf) Bitmap(_ swarm.Pool, root chunker.ID) (n int, all bool, bits []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.files[root]
	bits, all = make([]byte, (len(list)+7)/8), true
	for i, c := range list {
		if _, ok := s.chunks[c.ID]; ok {
			bits[i/8] |= 1 << (i % 8)
		} else {
			all = false
		}
	}
	return len(list), all, bits
}

func (s *shelf) put(b []byte) chunker.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := chunker.Sum(b)
	s.chunks[id] = bytes.Clone(b)
	return id
}

// know makes a file known, without its chunks.
func (s *shelf) know(f file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[f.root] = f.chunks
}

// add makes a file known with its chunks.
func (s *shelf) add(f file) {
	s.know(f)
	for at, i := 0, 0; i < len(f.chunks); i++ {
		s.put(f.bytes[at : at+int(f.chunks[i].Size)])
		at += int(f.chunks[i].Size)
	}
}

// file is a made-up file.
type file struct {
	root   chunker.ID
	chunks []chunker.Chunk
	bytes  []byte
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b) // never fails
	return b
}

func newFile(t testing.TB, seed uint64, size int) file {
	t.Helper()
	b := noise(seed, size)
	m, err := chunker.Cut(t.Context(), bytes.NewReader(b), int64(size), chunker.ClassFor(int64(size)), 1)
	if err != nil {
		t.Fatal(err)
	}
	return file{m.Root(), m.Chunks, b}
}

func (f file) wants() (ws []swarm.Want) {
	for i, c := range f.chunks {
		ws = append(ws, swarm.Want{ID: c.ID, Size: c.Size, Root: f.root, Index: i})
	}
	return ws
}

// node is a host with a swarm that runs.
type node struct {
	host host.Host
	*swarm.Swarm
	shelf *shelf
	stop  func() // ends Run and the host, and waits
}

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.Muxer(yamux.ID, tuned()), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// tuned is yamux as a node sets it.
func tuned() *yamux.Transport {
	c := mux.DefaultConfig()
	c.MaxStreamWindowSize, c.InitialStreamWindowSize, c.MaxMessageSize = 16<<20, 1<<20, 256<<10
	c.ReadBufSize, c.LogOutput, c.MaxIncomingStreams = 0, io.Discard, math.MaxUint32
	return (*yamux.Transport)(c)
}

// quick are limits that fit a test.
var quick = swarm.Config{Patience: 2 * time.Second, Stall: time.Second, Poll: 50 * time.Millisecond}

func newNode(t testing.TB, c swarm.Config) *node {
	t.Helper()
	n := &node{host: newHost(t), shelf: newShelf()}
	var err error
	if n.Swarm, err = swarm.New(n.host, n.shelf, c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() {
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	n.stop = sync.OnceFunc(func() {
		cancel()
		g.Wait()
		if err := n.host.Close(); err != nil {
			t.Errorf("close host: %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

func connect(t testing.TB, a *node, others ...*node) {
	t.Helper()
	for _, b := range others {
		if err := a.host.Connect(t.Context(), peer.AddrInfo{ID: b.host.ID(), Addrs: b.host.Addrs()}); err != nil {
			t.Fatalf("connect: %v", err)
		}
	}
}

func peersOf(ns ...*node) func() []peer.ID {
	var ids []peer.ID
	for _, n := range ns {
		ids = append(ids, n.host.ID())
	}
	return func() []peer.ID { return ids }
}

// basket is where fetched chunks land: on the node's own shelf, counted.
type basket struct {
	n     *node
	puts  atomic.Int64
	bytes atomic.Int64
}

func (b *basket) put(w swarm.Want, c []byte) error {
	if chunker.Sum(c) != w.ID {
		return errors.New("unverified bytes")
	}
	b.puts.Add(1)
	b.bytes.Add(int64(len(c)))
	b.n.shelf.put(c)
	return nil
}

func (n *node) fetch(ctx context.Context, wants []swarm.Want, peers func() []peer.ID) (*basket, error) {
	b := &basket{n: n}
	return b, n.Fetch(ctx, swarm.Request{Pool: pool, Peers: peers, Wants: wants, Put: b.put})
}

func mustFetch(t testing.TB, n *node, wants []swarm.Want, peers func() []peer.ID) *basket {
	t.Helper()
	b, err := n.fetch(t.Context(), wants, peers)
	if err != nil {
		var inc *swarm.Incomplete
		if errors.As(err, &inc) {
			t.Fatalf("Fetch: %v: %v", err, inc.Why)
		}
		t.Fatalf("Fetch: %v", err)
	}
	if got := b.puts.Load(); got != int64(len(wants)) {
		t.Fatalf("%d puts of %d wants", got, len(wants))
	}
	return b
}

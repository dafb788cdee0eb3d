// Package swarm carries chunks between members: it asks many at once, verifies each chunk, and serves what is here
// straight from the working files.
//
// It decides neither what is wanted nor who is a member, stores nothing, dials nobody, and gives no byte to
// its caller that does not have the hash that was asked for. Its protocol is laid out in wire.go.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"
)

// Protocol is the name under which chunks are asked for and served.
const Protocol protocol.ID = "/meerkat/chunks/1"

// Pool is the id of a pool: an event.PoolID, which this package may not name.
type Pool = [32]byte

// Source is where chunks are read that others ask for. All methods are called from many goroutines at once.
type Source interface {
	// Allowed says whether p may have chunks of pool, now. It is asked often and must not block.
	Allowed(pool Pool, p peer.ID) bool
	// Read puts what q names into dst, which has chunker.MaxChunk bytes and is valid during the call, and returns how many
	// bytes it has. It must belong to pool, and be verified unless q is plain. ErrMissing, ErrUnreadable or ErrChanged say
	// why not; any other error counts as ErrUnreadable.
	Read(ctx context.Context, pool Pool, q Query, dst []byte) (n int, err error)
	// Bitmap says which of the n chunks of the file with this root are here: all of them, or those of which
	// bits[i/8]>>(i%8)&1 is set. n is 0 where the root is not known. The bits are not changed after the call.
	Bitmap(pool Pool, root chunker.ID) (n int, all bool, bits []byte)
}

// Query names a piece that a Source is to read.
type Query struct {
	ID    chunker.ID
	Block bool // of a manifest, else a chunk
	Plain bool // whoever asked hashes what comes: the place has to look unchanged, the bytes need not be hashed
}

// What a Source answers where it cannot read.
var (
	ErrMissing    = errors.New("chunk is not here")
	ErrUnreadable = errors.New("chunk cannot be read")
	ErrChanged    = errors.New("chunk has changed on disk")
)

// ErrWrongBytes says that a peer sent bytes that are not what was asked for. It is not asked again for a while.
var ErrWrongBytes = errors.New("sent wrong bytes")

// Config of a Swarm. The zero value is ready for use.
type Config struct {
	Log *slog.Logger

	// AllowLimited also asks members that are reachable over a limited relay alone.
	AllowLimited bool
	// In and Out limit payload bytes per second, over all peers; nil is no limit.
	In, Out *rate.Limiter

	// Blame, where set, is told of peers that did what no honest node does; err wraps ErrWrongBytes. It must not block.
	Blame func(pool Pool, p peer.ID, err error)

	Patience   time.Duration // how long a Fetch goes on without a byte while nobody has what it wants (10 s)
	Stall      time.Duration // how long a peer may be silent with requests before it (15 s)
	Quarantine time.Duration // how long a peer that sent wrong bytes is not asked again, in that pool (5 min)
	Poll       time.Duration // how often incomplete peers are asked what they have (300 ms)
	Idle       time.Duration // how long a stream without requests is kept by the server (2 min)

	Window  int // most bytes asked of one peer and not yet received (16 MiB)
	Streams int // most streams a peer may hold here (32)
	Serving int // most frames of requests that are served at once; each holds a buffer for one chunk (24)
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	orDuration(&c.Patience, 10*time.Second)
	orDuration(&c.Stall, 15*time.Second)
	orDuration(&c.Quarantine, 5*time.Minute)
	orDuration(&c.Poll, 300*time.Millisecond)
	orDuration(&c.Idle, 2*time.Minute)
	orInt(&c.Window, 16<<20)
	orInt(&c.Streams, 32)
	orInt(&c.Serving, 24)
	return c
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

func orInt(n *int, def int) {
	if *n == 0 {
		*n = def
	}
}

func (c Config) validate() error {
	if min(c.Patience, c.Stall, c.Quarantine, c.Poll, c.Idle) < 0 || c.Window < minWindow || min(c.Streams, c.Serving) < 1 {
		return fmt.Errorf("swarm config: a limit is out of range")
	}
	for _, l := range []*rate.Limiter{c.In, c.Out} {
		if l != nil && l.Limit() != rate.Inf && l.Burst() < 1 {
			return fmt.Errorf("swarm config: a rate limit of burst 0 lets nothing through")
		}
	}
	return nil
}

// Swarm fetches and serves chunks over one host.
type Swarm struct {
	host    host.Host
	src     Source
	c       Config
	in, out meter
	serving chan struct{} // a slot for each frame being served

	mu       sync.Mutex
	streams  map[peer.ID]int         // inbound, now
	fetches  map[*fetch]struct{}     // in progress
	barred   map[member]time.Time    // quarantined until
	doubted  map[member]time.Time    // until when they have to verify what they send
	handlers map[network.Stream]bool // inbound streams, to be reset at the end
	running  bool
	children sync.WaitGroup // handlers
}

type member struct {
	pool Pool
	peer peer.ID
}

// New prepares a Swarm; it starts nothing and registers nothing.
func New(h host.Host, src Source, c Config) (*Swarm, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Swarm{
		host: h, src: src, c: c,
		serving:  make(chan struct{}, c.Serving),
		streams:  map[peer.ID]int{},
		fetches:  map[*fetch]struct{}{},
		barred:   map[member]time.Time{},
		doubted:  map[member]time.Time{},
		handlers: map[network.Stream]bool{},
	}, nil
}

// Run serves chunks until ctx ends, and returns when every stream is closed and every goroutine gone. It is called once.
func (s *Swarm) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	s.host.SetStreamHandler(Protocol, func(st network.Stream) { s.accept(ctx, st) })
	<-ctx.Done()
	s.host.RemoveStreamHandler(Protocol)
	s.mu.Lock()
	s.running = false
	for st := range s.handlers {
		_ = st.Reset() // it is going away in any case
	}
	s.mu.Unlock()
	s.children.Wait()
	return nil
}

// Counters are the payload bytes received and sent since New.
func (s *Swarm) Counters() (in, out int64) { return s.in.total.Load(), s.out.total.Load() }

// Rates are the payload bytes per second received and sent over the last few seconds.
func (s *Swarm) Rates() (in, out float64) {
	now := time.Now()
	return s.in.rate(now), s.out.rate(now)
}

// bar keeps p from being asked for chunks of pool for a while.
func (s *Swarm) bar(pool Pool, p peer.ID) { s.note(s.barred, pool, p) }

func (s *Swarm) isBarred(pool Pool, p peer.ID) bool { return s.noted(s.barred, pool, p) }

// doubt lets p verify for a while what it sends of pool: something that it sent as it lay was wrong. That may be a file that
// changed under it, which it says when it has to look; or a lie, which is told from that by being repeated.
func (s *Swarm) doubt(pool Pool, p peer.ID) { s.note(s.doubted, pool, p) }

func (s *Swarm) isDoubted(pool Pool, p peer.ID) bool { return s.noted(s.doubted, pool, p) }

func (s *Swarm) note(in map[member]time.Time, pool Pool, p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in[member{pool, p}] = time.Now().Add(s.c.Quarantine)
}

func (s *Swarm) noted(in map[member]time.Time, pool Pool, p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := in[member{pool, p}]
	if ok && time.Now().After(until) {
		delete(in, member{pool, p})
		return false
	}
	return ok
}

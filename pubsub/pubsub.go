// Package pubsub carries signed events, roster records and presence reports between the members of a pool: announced at once by
// GossipSub, and compared and pulled over a stream (repair) wherever an announcement could have been missed.
//
// It judges only who speaks and how much. It does not look into events, keeps nothing on disk, finds and dials nobody, and
// moves no file contents: signatures of segments, order and storage are the [Log]'s, and a message lost here costs a delay
// and never data.
package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/bwaklog/meerkat/event"
)

// The protocols that a [Feed] speaks.
const (
	HeadsProtocol protocol.ID = "/meerkat/heads/1"
	StateProtocol protocol.ID = "/meerkat/rbsr/1"
	MeshProtocol  protocol.ID = "/meerkat/mesh/1" // GossipSub 1.2 under a name of our own, for its message limit is ours
)

// Limits that hold on the wire, in bytes.
const (
	MaxWhole  = 8 << 10 // a segment up to here is announced whole
	MaxReport = 2 << 10 // a presence report
	MaxFrame  = 1 << 20 // a frame of /meerkat/heads/1
)

var (
	// ErrNotMember says that one side does not hold the other for a member of the pool. A stranger learns nothing else, not
	// even whether the pool is known there.
	ErrNotMember = errors.New("not a member")
	// ErrRemoved says that the side asked knows the other as a removed member.
	ErrRemoved = errors.New("removed")
	// ErrUnknownPool says that the pool has not been joined on this feed.
	ErrUnknownPool = errors.New("unknown pool")
	// ErrGap is what [Log.Append] wraps when segments are missing before the given ones. The feed then repairs with the
	// member that sent them.
	ErrGap = errors.New("gap in the log")
	// ErrStopped says that the feed's Run, or the pool's stay in it, ended before the act was done.
	ErrStopped = errors.New("stopped")
	// ErrProtocol says that the other side broke a rule or a limit of the protocol.
	ErrProtocol = errors.New("protocol violated")

	// ErrRejected says that an exchange was gone through with, but not all that came was accepted.
	ErrRejected = errors.New("not all was accepted")

	errBusy = errors.New("the other side is busy with another exchange")
)

// Log is one pool as the feed sees it. Every method may be called by several goroutines at once, except that the feed calls
// Append one at a time. Slices that are returned belong to the feed, slices that are passed belong to the Log. All but
// AddRosterRecords, Append, After, Ends and Has must answer from memory: they are asked for each message.
type Log interface {
	// ID and Topic (an opaque name that only members know: hex of an HMAC of the pool's secret) never change.
	ID() event.PoolID
	Topic() string

	// Member tells whether p belongs to the pool now; Removed, whether it did and was removed.
	Member(p peer.ID) bool
	Removed(p peer.ID) bool

	// RosterDigest identifies the set of records, RosterHashes lists it, RosterRecords gives those of hashes that are
	// known. AddRosterRecords checks records, keeps the valid ones durably and has Member answer by them when it returns;
	// from need not be a member. Invalid records are no error: they are just not kept.
	RosterDigest() event.Hash
	RosterHashes() []event.Hash
	RosterRecords(hashes []event.Hash) [][]byte
	AddRosterRecords(ctx context.Context, from peer.ID, recs [][]byte) error

	// Heads lists the newest segment of each writer, in any order; Summary is the sum over the state of all paths.
	Heads() []event.Head
	Summary() event.Sum

	// Refused hears that p will not speak of this pool: err is ErrNotMember or ErrRemoved. It must not block.
	Refused(p peer.ID, err error)

	// Forked tells that w signed two things for one seq, and from which seq on its branches differ or may do so. Its head then
	// is a hash of all its segments, and members that have other ones name to each other what they have from there on.
	Forked(w event.Writer) (from uint64, ok bool)
	// Ends gives the ends of the segments of w that hold the seqs above seq, in order, at most max. Has tells whether the segment
	// that ends there is known.
	Ends(w event.Writer, seq uint64, max int) ([]event.Head, error)
	Has(end event.Head) (bool, error)

	// After gives whole segments of w in order, beginning with the one that holds seq+1, up to max bytes but at least one;
	// none when there is nothing newer.
	After(w event.Writer, seq uint64, max int) ([][]byte, error)

	// Append verifies segments and is durable when it returns; known ones are no error. ErrGap (wrapped) where one does not
	// follow on what is known; segments before it are kept. from handed them over and need not be their author.
	Append(ctx context.Context, from peer.ID, raws [][]byte) error

	// Report takes a presence report that from handed over; from need not be its author, so a report must prove itself.
	// Reports gives the newest one known of each member, and the own one as things stand now: who repairs with this node
	// learns by it what it had not done yet when asked. It may look at the disk.
	Report(ctx context.Context, from peer.ID, raw []byte)
	Reports() [][]byte

	State
}

// State is what a pool's paths are at, as a set of items in the order of their keys, and the events that show it. It is asked
// by several goroutines at once and need not answer from one moment: what changes meanwhile is compared again.
type State interface {
	// StateSums gives the sums of the sixteen parts of r (of a range of MaxDepth, its own first); all of them together are
	// Summary. StateItems lists up to max items of r from its beginning.
	StateSums(r event.Range) ([event.FanOut]event.Sum, error)
	StateItems(r event.Range, max int) ([]event.Item, error)

	// Evidence gives the events that the states of the paths with those keys follow from, with proofs: of as many keys as fit
	// into max bytes, but of one at least, and the keys left.
	Evidence(keys []event.Key, max int) (evs []event.Proved, left []event.Key, err error)

	// Supplement verifies events and is durable when it returns; known ones are no error, and neither is an order other than
	// the log's. from handed them over and need not be their author.
	Supplement(ctx context.Context, from peer.ID, evs []event.Proved) error
}

// Config sets a feed up; its zero value is meant for use.
type Config struct {
	Log *slog.Logger // nil: discarded

	Every  time.Duration // mean time between repairs with one random member; 0: 30 s
	Retry  time.Duration // first wait after a failed exchange, doubled up to a minute; 0: 1 s
	Frame  time.Duration // patience for one frame, either way; 0: 30 s
	Jitter time.Duration // first exchange after a connect is up to this late; 0: 20 ms
	Doubt  time.Duration // states that differ for so long while heads bring nothing are reconciled; 0: 5 s
	Daily  time.Duration // mean time between reconciling with one random member in any case; 0: 24 h

	Streams int // exchanges that others may have open here at once; 0: 64. A single peer may have 4.

	// Blame, where set, is told what a member did that no honest node does; the error wraps [ErrProtocol], [ErrFlood], or what
	// event says of a segment that breaks its rules. It must not block.
	Blame func(pool event.PoolID, p peer.ID, err error)
	// Muted, where set, says whose segments [Log.Append] would put off with [ErrLater] now, so that they are not asked for.
	Muted func(pool event.PoolID, author peer.ID) bool
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Every = cmp.Or(c.Every, 30*time.Second)
	c.Retry = cmp.Or(c.Retry, time.Second)
	c.Frame = cmp.Or(c.Frame, 30*time.Second)
	c.Jitter = cmp.Or(c.Jitter, 20*time.Millisecond)
	c.Doubt = cmp.Or(c.Doubt, 5*time.Second)
	c.Daily = cmp.Or(c.Daily, 24*time.Hour)
	c.Streams = cmp.Or(c.Streams, 64)
	return c
}

func (c Config) validate() error {
	if c.Every < 0 || c.Retry < 0 || c.Frame < 0 || c.Jitter < 0 || c.Doubt < 0 || c.Daily < 0 || c.Streams < 0 {
		return fmt.Errorf("pubsub config: negative time or count: %+v", c)
	}
	return nil
}

// New prepares a feed on h, which stays the caller's and must outlive Run. It starts nothing.
func New(h host.Host, c Config) (*Feed, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	z, err := newPacker()
	if err != nil {
		return nil, fmt.Errorf("prepare compression: %w", err)
	}
	f := &Feed{host: h, conf: c, log: c.Log, pack: z, rooms: map[event.PoolID]*room{}, topics: map[string]*room{}, nudge: newNudge()}
	f.gate = newGate(f)
	f.door = newDoor(c.Streams)
	f.calls = newPaces(callRate, callBurst)
	return f, nil
}

// nudge wakes one waiter; many pokes before it looks are one.
type nudge chan struct{}

func newNudge() nudge { return make(nudge, 1) }

func (n nudge) poke() {
	select {
	case n <- struct{}{}:
	default:
	}
}

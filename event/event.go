package event

import (
	"errors"

	"github.com/bwaklog/meerkat/chunker"
)

// Limits of an event and of a segment, in bytes as encoded.
const (
	MaxEvent   = 64 << 10
	MaxSegment = 256 << 10
	MaxPrev    = 4    // content roots that an event remembers
	MaxLeaves  = 4096 // events of one segment
)

var (
	// ErrEvent is wrapped where the bytes or fields of an event break the rules.
	ErrEvent = errors.New("bad event")
	// ErrTooLarge is wrapped where an event or a segment is beyond its limit. Nothing was allocated for it.
	ErrTooLarge = errors.New("too large")
	// ErrRewound is wrapped where a draft's ctx covers the dot that it would get: the pool knows later events of this
	// writer than the writer does, so its memory was rolled back and it must go on in a new epoch.
	ErrRewound = errors.New("writer is behind its own events")
)

// Event is what an author says about one path. In a draft a zero CDot or MDot means this event's own dot; [OpenLeaf]
// and [OpenSegment] fill them in.
type Event struct {
	Path  Path
	Value Value
	CDot  Dot    // the event that set the content: this one, or one that Ctx covers
	MDot  Dot    // the event that set mode and mtime: likewise
	Ctx   Vector // the path's version vector as the author had it, without this event
	HLC   HLC
	Prev  []chunker.ID // up to MaxPrev contents ([Value.Content]) that the path had before, newest first
	From  Path         // hint: the content was at this path before; may be ""
	// WasDir marks the tombstone of a directory.
	WasDir bool
	// Found marks what an author came upon whose memory was new, or older than its disk: it cannot tell whether the
	// pool has left that behind already. Tombstones are never found.
	Found bool
}

// Leaf is an event that has been sealed. Hash covers Dot and Raw, so it names this event alone. Raw is as it was
// signed and belongs to nobody: no one may change it. Raw is nil, and Event zero, where the event was pruned.
type Leaf struct {
	Event Event
	Dot   Dot
	Hash  Hash
	Raw   []byte
}

// seen is ctx and the event's own dot.
func (l Leaf) seen(d Dot) bool {
	return l.Event.Ctx.Covers(d) || d.Seq != 0 && d.Writer == l.Dot.Writer && d.Seq == l.Dot.Seq
}

// Head is the newest segment of a log: the seq of its last event, and its hash. Seq 0 is the log that is still empty.
type Head struct {
	Writer Writer
	Seq    uint64
	Hash   Hash
}

// Segment is a run of a writer's events under one signature. Raw is what was sent; Leaves' Raw lies within it.
type Segment struct {
	Pool      PoolID
	Writer    Writer
	First     uint64 // seq of Leaves[0]
	Prev      Hash   // of the segment before; zero when First is 1
	PrevEpoch *Head  // only when First is 1: where the node's epoch before ended, as far as it knew
	Leaves    []Leaf
	Hash      Hash // of the header, which the leaves are bound to: the same when leaves are pruned
	Raw       []byte
}

// Last is the seq of the last event.
func (s Segment) Last() uint64 { return s.First + uint64(len(s.Leaves)) - 1 }

// Head is the log's head once s is its newest segment.
func (s Segment) Head() Head { return Head{s.Writer, s.Last(), s.Hash} }

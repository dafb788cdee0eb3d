package event

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of Header, PrevEpoch, Segment, Leaf and Proof in internal/pb/event.proto.
const (
	headPool   protowire.Number = 1
	headKey    protowire.Number = 2
	headEpoch  protowire.Number = 3
	headFirst  protowire.Number = 4
	headPrev   protowire.Number = 5
	headBefore protowire.Number = 6
	headCount  protowire.Number = 7
	headRoot   protowire.Number = 8

	beforeEpoch protowire.Number = 1
	beforeSeq   protowire.Number = 2
	beforeHash  protowire.Number = 3

	segHeader protowire.Number = 1
	segSig    protowire.Number = 2
	segLeaf   protowire.Number = 3

	leafEvent protowire.Number = 1
	leafHash  protowire.Number = 2

	proofIndex protowire.Number = 3
	proofPath  protowire.Number = 4
)

// headerMost is more than any header that we write and its signature take.
const headerMost = 512

var (
	// ErrSegment is wrapped where a segment or a proof breaks the rules.
	ErrSegment = errors.New("bad segment")
	// ErrSignature is wrapped where a segment was not signed by its writer for this pool.
	ErrSignature = errors.New("bad signature")
)

// header is what is signed.
type header struct {
	pool   PoolID
	writer Writer
	first  uint64
	prev   Hash
	before *Head
	count  uint64
	root   Hash
}

// last is the seq of the last event; a decoded header does not overflow it.
func (h header) last() uint64 { return h.first + h.count - 1 }

func (h header) encode() []byte {
	key, _ := rawKey(h.writer.Node)
	b := putBytes(make([]byte, 0, headerMost), headPool, h.pool[:])
	b = putBytes(b, headKey, key)
	b = putFixed(b, headEpoch, h.writer.Epoch)
	b = putUint(b, headFirst, h.first)
	if h.first > 1 {
		b = putBytes(b, headPrev, h.prev[:])
	}
	if h.before != nil {
		p := putUint(putFixed(nil, beforeEpoch, h.before.Writer.Epoch), beforeSeq, h.before.Seq)
		b = putBytes(b, headBefore, putBytes(p, beforeHash, h.before.Hash[:]))
	}
	b = putUint(b, headCount, h.count)
	return putBytes(b, headRoot, h.root[:])
}

// signed is the bytes that are signed and hashed for a header.
func signed(head []byte) []byte {
	return append(append(make([]byte, 0, len(domainSegment)+len(head)), domainSegment...), head...)
}

// openHeader decodes a header and verifies its signature. It returns the header's hash too.
func openHeader(pool PoolID, raw, sig []byte) (h header, hash Hash, err error) {
	if h, err = decodeHeader(raw); err != nil {
		return header{}, Hash{}, err
	}
	if h.pool != pool {
		return header{}, Hash{}, fmt.Errorf("%w: for pool %v", ErrSegment, h.pool)
	}
	key, _ := rawKey(h.writer.Node)
	msg := signed(raw)
	if len(sig) != ed25519.SignatureSize || !ed25519.Verify(ed25519.PublicKey(key), msg, sig) {
		return header{}, Hash{}, fmt.Errorf("%w: events %d to %d of %v", ErrSignature, h.first, h.last(), h.writer)
	}
	return h, sum(msg), nil
}

func decodeHeader(raw []byte) (h header, err error) {
	in := fields{rest: raw}
	for {
		f, more, err := in.next()
		if err == nil && more {
			err = h.field(f)
		}
		if err != nil {
			return header{}, fmt.Errorf("%w: header: %w", ErrSegment, err)
		}
		if !more {
			break
		}
	}
	return h, h.check()
}

func (h *header) field(f field) (err error) {
	switch f.num {
	case headEpoch:
		h.writer.Epoch, err = f.v, f.want(protowire.Fixed64Type)
	case headFirst:
		h.first, err = f.v, f.want(protowire.VarintType)
	case headCount:
		h.count, err = f.v, f.want(protowire.VarintType)
	case headBefore:
		h.before, err = decodeBefore(f.b)
	case headPool, headKey, headPrev, headRoot:
		err = h.id(f)
	}
	return err
}

func (h *header) id(f field) error {
	id, err := f.id32()
	switch f.num {
	case headPool:
		h.pool = id
	case headKey:
		h.writer.Node = nodeOf(id[:])
	case headPrev:
		h.prev = id
	case headRoot:
		h.root = id
	}
	return err
}

func decodeBefore(b []byte) (*Head, error) {
	h, in := new(Head), fields{rest: b}
	for {
		f, more, err := in.next()
		if err != nil || !more {
			return h, err
		}
		switch f.num {
		case beforeEpoch:
			h.Writer.Epoch, err = f.v, f.want(protowire.Fixed64Type)
		case beforeSeq:
			h.Seq, err = f.v, f.want(protowire.VarintType)
		case beforeHash:
			h.Hash, err = f.id32()
		default:
			err = fmt.Errorf("%w: unknown field %d", ErrEvent, f.num)
		}
		if err != nil {
			return nil, err
		}
	}
}

// check looks at a decoded header as a whole, and says which node the epoch before was of.
func (h *header) check() error {
	if h.before != nil {
		h.before.Writer.Node = h.writer.Node
	}
	_, named := rawKey(h.writer.Node)
	switch {
	case !named || h.pool.IsZero() || h.root.IsZero() || h.first == 0 || h.count == 0:
		return fmt.Errorf("%w: header is not whole", ErrSegment)
	case h.count > MaxLeaves || h.last() < h.first:
		return fmt.Errorf("%w: segment of %d events", ErrTooLarge, h.count)
	case (h.first == 1) != h.prev.IsZero():
		return fmt.Errorf("%w: event %d with previous segment %v", ErrSegment, h.first, h.prev)
	}
	return h.checkBefore()
}

func (h *header) checkBefore() error {
	b := h.before
	switch {
	case b == nil:
		return nil
	case h.first != 1 || b.Seq == 0 || b.Hash.IsZero() || b.Writer == h.writer:
		return fmt.Errorf("%w: bad link to the epoch before", ErrSegment)
	}
	return nil
}

// appendLength writes a field's tag and the length of what follows.
func appendLength(b []byte, num protowire.Number, n int) []byte {
	return binary.AppendUvarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(n))
}

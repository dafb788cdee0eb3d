package event

import (
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Seal signs drafts, in their order, as the events that follow prev in the log of prev.Writer, whose node key must be
// of. It splits them into segments of at most [MaxSegment] bytes. prev.Seq 0 opens the log; then prevEpoch may name
// where the node's epoch before ended. The leaves returned are what any reader will decode. All drafts are sealed or
// none: the first that breaks a rule is named by the error, which wraps [ErrEvent], [ErrPath], [ErrTooLarge] or
// [ErrRewound]. Drafts are not changed, and may share their chunks with the result.
func Seal(key crypto.PrivKey, pool PoolID, prev Head, prevEpoch *Head, drafts []Event) ([]Segment, error) {
	if err := checkSeal(key, prev, prevEpoch); err != nil {
		return nil, err
	}
	if prevEpoch != nil {
		own := *prevEpoch
		prevEpoch = &own
	}
	leaves, err := sealLeaves(prev, drafts)
	if err != nil {
		return nil, err
	}
	var segs []Segment
	for len(leaves) > 0 {
		n := fits(leaves)
		s, err := signSegment(key, pool, prev, prevEpoch, leaves[:n:n])
		if err != nil {
			return nil, err
		}
		segs, prev, prevEpoch, leaves = append(segs, s), s.Head(), nil, leaves[n:]
	}
	return segs, nil
}

func checkSeal(key crypto.PrivKey, prev Head, prevEpoch *Head) error {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return fmt.Errorf("name the sealing key: %w", err)
	}
	if _, ok := rawKey(id); !ok || id != prev.Writer.Node {
		return fmt.Errorf("%w: key of %v cannot seal for %v", ErrSegment, id, prev.Writer)
	}
	if (prev.Seq == 0) != prev.Hash.IsZero() {
		return fmt.Errorf("%w: head at %d has hash %v", ErrSegment, prev.Seq, prev.Hash)
	}
	if prevEpoch != nil && (prev.Seq != 0 || prevEpoch.Writer.Node != id) {
		return fmt.Errorf("%w: the epoch before is linked by a node's own first segment", ErrSegment)
	}
	return nil
}

// sealLeaves encodes the drafts and reads them back, so that what is signed is what a reader accepts.
func sealLeaves(prev Head, drafts []Event) ([]Leaf, error) {
	hash, _ := newLeafHasher(prev.Writer)
	var dec decoder
	leaves := make([]Leaf, len(drafts))
	var buf []byte
	for i, e := range drafts {
		d := Dot{prev.Writer, prev.Seq + 1 + uint64(i)}
		start := len(buf)
		buf = slices.Grow(buf, 256)
		var err error
		if buf, err = encodeEvent(buf, d, e); err != nil {
			return nil, fmt.Errorf("seal %.200q: %w", string(e.Path), err)
		}
		raw := buf[start:len(buf):len(buf)]
		leaves[i] = Leaf{Dot: d, Hash: hash.sum(d.Seq, raw), Raw: raw}
		if leaves[i].Event, err = dec.event(d, raw); err == nil {
			err = survived(e, leaves[i].Event)
		}
		if err != nil {
			return nil, fmt.Errorf("seal %.200q: %w", string(e.Path), err)
		}
	}
	return leaves, nil
}

// survived compares what can be lost on the way: a root is derived from the chunks, and zeroes are not written.
func survived(draft, got Event) error {
	a, b := draft.Value, got.Value
	if !a.Same(b) || a.Size != b.Size || !slices.Equal(a.Chunks, b.Chunks) || !slices.Equal(draft.Prev, got.Prev) {
		return fmt.Errorf("%w: content does not hang together: root %v, from its chunks %v", ErrEvent, a.Root, b.Root)
	}
	if !draft.Ctx.Equal(got.Ctx) {
		return fmt.Errorf("%w: ctx has a zero", ErrEvent)
	}
	return nil
}

// fits is how many of the leaves, at least one, make a segment.
func fits(leaves []Leaf) int {
	room := MaxSegment - headerMost
	for i, l := range leaves {
		room -= len(l.Raw) + 10
		if i > 0 && room < 0 || i == MaxLeaves {
			return i
		}
	}
	return len(leaves)
}

func signSegment(key crypto.PrivKey, pool PoolID, prev Head, before *Head, leaves []Leaf) (Segment, error) {
	h := header{
		pool: pool, writer: prev.Writer, first: prev.Seq + 1, prev: prev.Hash,
		before: before, count: uint64(len(leaves)), root: merkleRoot(leaves),
	}
	if err := h.check(); err != nil {
		return Segment{}, fmt.Errorf("seal: %w", err)
	}
	head := h.encode()
	msg := signed(head)
	sig, err := key.Sign(msg)
	if err != nil {
		return Segment{}, fmt.Errorf("sign events %d to %d: %w", h.first, h.last(), err)
	}
	return Segment{
		Pool: pool, Writer: h.writer, First: h.first, Prev: h.prev, PrevEpoch: h.before, Leaves: leaves,
		Hash: sum(msg), Raw: frame(head, sig, leaves),
	}, nil
}

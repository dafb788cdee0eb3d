package event

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// OpenSegment decodes and verifies raw for pool: limits, canonical form, signature, and that the leaves are the signed
// ones. Whether the writer may write, and whether Prev is known, the caller decides. The segment keeps raw; nobody may
// change it afterwards. Leaves that were pruned have a Dot and a Hash alone.
func OpenSegment(pool PoolID, raw []byte) (Segment, error) {
	if len(raw) > MaxSegment {
		return Segment{}, fmt.Errorf("%w: segment of %d bytes", ErrTooLarge, len(raw))
	}
	head, sig, rest, err := splitSegment(raw)
	if err != nil {
		return Segment{}, err
	}
	h, hash, err := openHeader(pool, head, sig)
	if err != nil {
		return Segment{}, err
	}
	s := Segment{
		Pool: h.pool, Writer: h.writer, First: h.first, Prev: h.prev, PrevEpoch: h.before,
		Hash: hash, Raw: raw[:len(raw):len(raw)],
	}
	if s.Leaves, err = openLeaves(h, rest); err != nil {
		return Segment{}, err
	}
	if merkleRoot(s.Leaves) != h.root {
		return Segment{}, fmt.Errorf("%w: events %d to %d of %v are not the signed ones", ErrSegment, h.first, h.last(), h.writer)
	}
	return s, nil
}

// WriterOf is the writer that raw names, without any proof that it is: enough to put a segment aside unopened. Its errors
// are those of [OpenSegment].
func WriterOf(raw []byte) (Writer, error) {
	head, _, _, err := splitSegment(raw)
	if err != nil {
		return Writer{}, err
	}
	h, err := decodeHeader(head)
	return h.writer, err
}

// Place is where a segment says that it stands in its log.
type Place struct {
	Head         // the log's when it ends here
	First uint64 // seq of the first event
	Prev  Hash   // of the segment before; zero where First is 1
}

// Before is the end of what the segment follows.
func (p Place) Before() Head { return Head{Writer: p.Writer, Seq: p.First - 1, Hash: p.Prev} }

// PlaceOf is the place of raw, without any proof: of what [OpenSegment] has opened before it need not be proved again. Its errors
// are those of [OpenSegment].
func PlaceOf(raw []byte) (Place, error) {
	head, _, _, err := splitSegment(raw)
	if err != nil {
		return Place{}, err
	}
	h, err := decodeHeader(head)
	if err != nil {
		return Place{}, err
	}
	return Place{Head: Head{Writer: h.writer, Seq: h.last(), Hash: sum(signed(head))}, First: h.first, Prev: h.prev}, nil
}

// LatestIn is the latest time that an event of raw bears, without any proof, and 0 where all are pruned: enough to leave what is too
// old unopened. Its errors are some of those of [OpenSegment].
func LatestIn(raw []byte) (latest HLC, err error) {
	_, _, rest, err := splitSegment(raw)
	in := fields{rest: rest, many: segLeaf}
	for more := err == nil; more; {
		var leaf, e field
		if leaf, more, err = in.next(); !more {
			break
		}
		if e, err = leaf.part(leafEvent); err == nil {
			e, err = e.part(fieldHLC)
		}
		if err != nil {
			break
		}
		latest = max(latest, HLC(e.v))
	}
	return latest, err
}

// part is the field num of the message that f is; one that is not there is zero.
func (f field) part(num protowire.Number) (field, error) {
	for in := (fields{rest: f.b}); ; {
		if p, more, err := in.next(); !more || p.num == num {
			return p, err
		}
	}
}

// splitSegment takes header and signature off; the leaves remain.
func splitSegment(raw []byte) (head, sig, leaves []byte, err error) {
	in := fields{rest: raw}
	var got [2][]byte
	for i := range got {
		f, _, err := in.next()
		if err == nil && (f.num != segHeader+protowire.Number(i) || f.typ != protowire.BytesType) {
			err = fmt.Errorf("field %d where header and signature belong", f.num)
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%w: %w", ErrSegment, err)
		}
		got[i] = f.b
	}
	return got[0], got[1], in.rest, nil
}

// openLeaves decodes the leaves of a segment whose header is h. The memory follows from their bytes, not the count.
func openLeaves(h header, b []byte) ([]Leaf, error) {
	const least = 6 // tags and lengths
	hash, _ := newLeafHasher(h.writer)
	var dec decoder
	leaves := make([]Leaf, 0, min(int(h.count), len(b)/least))
	in := fields{rest: b, many: segLeaf}
	for seq := h.first; ; seq++ {
		f, more, err := in.next()
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrSegment, err)
		case !more && uint64(len(leaves)) == h.count:
			return leaves, nil
		case !more || uint64(len(leaves)) == h.count || f.num != segLeaf || f.typ != protowire.BytesType:
			return nil, fmt.Errorf("%w: not %d leaves", ErrSegment, h.count)
		}
		leaves = append(leaves, Leaf{Dot: Dot{h.writer, seq}})
		if err := leaves[len(leaves)-1].open(&dec, &hash, f.b); err != nil {
			return nil, fmt.Errorf("open event %d of %v: %w", seq, h.writer, err)
		}
	}
}

// open fills in a leaf from its message: an event, or the hash of one.
func (l *Leaf) open(dec *decoder, hash *leafHasher, b []byte) error {
	in := fields{rest: b}
	f, more, err := in.next()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrSegment, err)
	case !more || len(in.rest) != 0 || f.typ != protowire.BytesType:
		return fmt.Errorf("%w: neither event nor hash", ErrSegment)
	case f.num == leafHash:
		l.Hash, err = f.id32()
		return err
	case f.num != leafEvent:
		return fmt.Errorf("%w: neither event nor hash", ErrSegment)
	}
	l.Raw, l.Hash = f.b, hash.sum(l.Dot.Seq, f.b)
	l.Event, err = dec.event(l.Dot, f.b)
	return err
}

// Prune is s with the leaves that drop picks reduced to their hash; the signature still holds. Events that are no
// longer than a hash stay, so a segment only ever shrinks. s itself is not changed.
func (s Segment) Prune(drop func(Leaf) bool) (Segment, error) {
	head, sig, _, err := splitSegment(s.Raw)
	if err != nil {
		return Segment{}, err
	}
	out := s
	out.Leaves = append([]Leaf(nil), s.Leaves...)
	for i, l := range out.Leaves {
		if len(l.Raw) > len(l.Hash) && drop(l) {
			out.Leaves[i] = Leaf{Dot: l.Dot, Hash: l.Hash}
		}
	}
	out.Raw = frame(head, sig, out.Leaves)
	return out, nil
}

// frame writes a segment's bytes, and lets the leaves' Raw lie within them.
func frame(head, sig []byte, leaves []Leaf) []byte {
	n := len(head) + len(sig) + 16
	for _, l := range leaves {
		n += max(len(l.Raw), len(l.Hash)) + 12
	}
	b := putBytes(putBytes(make([]byte, 0, n), segHeader, head), segSig, sig)
	for i, l := range leaves {
		num, body := leafEvent, l.Raw
		if body == nil {
			num, body = leafHash, l.Hash[:]
		}
		inner := protowire.SizeTag(num) + protowire.SizeBytes(len(body))
		b = putBytes(appendLength(b, segLeaf, inner), num, body)
		if l.Raw != nil {
			leaves[i].Raw = b[len(b)-len(body) : len(b) : len(b)]
		}
	}
	return b
}

package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Vector is a version vector: of each writer, the highest seq that is covered. No entry is zero; nil is the empty
// Vector. Methods never change the receiver.
type Vector map[Writer]uint64

// MaxVector is the most entries that an event's ctx, or a decoded Vector, may have.
const MaxVector = 1024

// ErrVector is wrapped by every error of [DecodeVector].
var ErrVector = errors.New("bad version vector")

// Covers says whether d, or a later event of its writer, is in v. The zero Dot is covered by none.
func (v Vector) Covers(d Dot) bool { return d.Seq != 0 && d.Seq <= v[d.Writer] }

// Leq says whether everything in v is in o.
func (v Vector) Leq(o Vector) bool {
	for w, seq := range v {
		if seq > o[w] {
			return false
		}
	}
	return true
}

// Equal says whether v and o cover the same dots.
func (v Vector) Equal(o Vector) bool { return maps.Equal(v, o) }

// Clone is a copy that the caller owns; nil when v is empty.
func (v Vector) Clone() Vector {
	if len(v) == 0 {
		return nil
	}
	return maps.Clone(v)
}

// Join is the pointwise maximum of v and o, owned by the caller.
func (v Vector) Join(o Vector) Vector { return v.Clone().grow(o) }

// With is v grown by d, owned by the caller.
func (v Vector) With(d Dot) Vector { return v.Clone().put(d) }

// grow is Join for a v that the caller owns.
func (v Vector) grow(o Vector) Vector {
	for w, seq := range o {
		v = v.put(Dot{w, seq})
	}
	return v
}

// put is With for a v that the caller owns.
func (v Vector) put(d Dot) Vector {
	if d.Seq <= v[d.Writer] {
		return v
	}
	if v == nil {
		v = make(Vector, 1)
	}
	v[d.Writer] = d.Seq
	return v
}

// Writers are the writers of v in their order, in a slice that the caller owns.
func (v Vector) Writers() []Writer {
	ws := make([]Writer, 0, len(v))
	for w := range v {
		ws = append(ws, w)
	}
	slices.SortFunc(ws, Writer.Compare)
	return ws
}

// Append writes the one encoding of v behind b: a count, and for each writer in order its key (see [DecodeVector]),
// its epoch and its seq.
func (v Vector) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	for _, w := range v.Writers() {
		b = binary.AppendUvarint(appendWriter(b, w), v[w])
	}
	return b
}

// appendWriter writes the length of the node's name, the name, and 8 bytes of epoch. The name is the bare 32-byte
// Ed25519 key; a node with another kind of key has its whole id there, which is never 32 bytes long.
func appendWriter(b []byte, w Writer) []byte {
	name, ok := rawKey(w.Node)
	if !ok {
		name = string(w.Node)
	}
	b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
	return binary.BigEndian.AppendUint64(b, w.Epoch)
}

// DecodeVector reads what [Vector.Append] wrote, all of b and nothing but the one encoding.
func DecodeVector(b []byte) (Vector, error) {
	v, rest, err := cutVector(b)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%w: %d bytes too many", ErrVector, len(rest))
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func cutVector(b []byte) (Vector, []byte, error) {
	n, b, ok := cutUvarint(b)
	if !ok || n > MaxVector {
		return nil, nil, fmt.Errorf("%w: bad count", ErrVector)
	}
	var v Vector
	var last Writer
	for i := range n {
		d, rest, ok := cutDot(b)
		if !ok || i > 0 && last.Compare(d.Writer) >= 0 {
			return nil, nil, fmt.Errorf("%w: entry %d is cut short or out of order", ErrVector, i)
		}
		v, last, b = v.put(d), d.Writer, rest
	}
	return v, b, nil
}

// appendDot writes a writer and a seq; cutDot reads them, refusing seq 0 and any second spelling.
func appendDot(b []byte, d Dot) []byte { return binary.AppendUvarint(appendWriter(b, d.Writer), d.Seq) }

func cutDot(b []byte) (d Dot, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > 64 || uint64(len(b)) < n+8 {
		return Dot{}, nil, false
	}
	name, b := b[:n], b[n:]
	d.Writer.Node = peer.ID(name)
	if _, long := rawKey(d.Writer.Node); long {
		return Dot{}, nil, false
	}
	if n == keySize {
		d.Writer.Node = nodeOf(name)
	}
	d.Writer.Epoch, b = binary.BigEndian.Uint64(b), b[8:]
	d.Seq, b, ok = cutUvarint(b)
	return d, b, ok && d.Seq != 0
}

// cutUvarint reads a varint in its shortest form.
func cutUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

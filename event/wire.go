package event

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The writing side: fields in ascending order, and none that is zero.

func putUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func putFixed(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

func putBytes[T ~string | ~[]byte](b []byte, num protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(len(v)))
	return append(b, v...)
}

// field is one field as read: v for numbers, b for bytes.
type field struct {
	num protowire.Number
	typ protowire.Type
	v   uint64
	b   []byte
}

// fields reads a message field by field and refuses what is not canonical.
type fields struct {
	rest []byte
	last protowire.Number
	many protowire.Number // the number that may come more than once, or 0
}

// next is false at the end.
func (r *fields) next() (f field, more bool, err error) {
	if len(r.rest) == 0 {
		return field{}, false, nil
	}
	tag, rest, ok := cutUvarint(r.rest)
	f.num, f.typ = protowire.DecodeTag(tag)
	if !ok || !f.num.IsValid() {
		return field{}, false, fmt.Errorf("%w: bad tag", ErrEvent)
	}
	if f.num < r.last || f.num == r.last && f.num != r.many {
		return field{}, false, fmt.Errorf("%w: field %d after field %d", ErrEvent, f.num, r.last)
	}
	if r.rest, ok = f.read(rest); !ok {
		return field{}, false, fmt.Errorf("%w: field %d is cut short", ErrEvent, f.num)
	}
	r.last = f.num
	return f, true, nil
}

func (f *field) read(b []byte) (rest []byte, ok bool) {
	switch f.typ {
	case protowire.VarintType:
		f.v, b, ok = cutUvarint(b)
		return b, ok
	case protowire.Fixed64Type:
		if len(b) < 8 {
			return nil, false
		}
		f.v = binary.LittleEndian.Uint64(b)
		return b[8:], true
	case protowire.Fixed32Type:
		if len(b) < 4 {
			return nil, false
		}
		f.v = uint64(binary.LittleEndian.Uint32(b))
		return b[4:], true
	case protowire.BytesType:
		n, b, ok := cutUvarint(b)
		if !ok || n > uint64(len(b)) {
			return nil, false
		}
		f.b = b[:n:n]
		return b[n:], true
	}
	return nil, false // groups
}

// want checks the type of a known field, and that it is not written for nothing.
func (f field) want(typ protowire.Type) error {
	if f.typ != typ {
		return fmt.Errorf("%w: field %d has wire type %d", ErrEvent, f.num, f.typ)
	}
	if f.v == 0 && len(f.b) == 0 {
		return fmt.Errorf("%w: field %d is empty", ErrEvent, f.num)
	}
	return nil
}

// id32 is the field as 32 bytes.
func (f field) id32() (id [32]byte, err error) {
	if len(f.b) != len(id) {
		return id, fmt.Errorf("%w: field %d has %d bytes, want 32", ErrEvent, f.num, len(f.b))
	}
	id = [32]byte(f.b)
	if id == [32]byte{} {
		return id, fmt.Errorf("%w: field %d is a zero id", ErrEvent, f.num)
	}
	return id, nil
}

// packed reads b as shortest varints into dst, whose length says how many there must be.
func (f field) packed(dst []uint64) error {
	b := f.b
	for i := range dst {
		var ok bool
		if dst[i], b, ok = cutUvarint(b); !ok {
			return fmt.Errorf("%w: field %d has too few numbers", ErrEvent, f.num)
		}
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: field %d has too many numbers", ErrEvent, f.num)
	}
	return nil
}

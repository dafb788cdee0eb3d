package event

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of Event in internal/pb/event.proto.
const (
	fieldPath protowire.Number = 1 + iota
	fieldKind
	fieldMode
	fieldMTime
	fieldSize
	fieldClass
	fieldChunkIDs
	fieldChunkSizes
	fieldRoot
	fieldTarget
	fieldHLC
	fieldOwn
	fieldWriters
	fieldSeqs
	fieldCDot
	fieldMDot
	fieldPrev
	fieldFrom
	fieldWasDir
	fieldFound
)

// writerSize is a writer in an event or a header: key and epoch.
const writerSize = keySize + 8

// encodeEvent appends the encoding of e as the event d. It checks only what could not be written down; the rest is the
// decoder's to refuse.
func encodeEvent(b []byte, d Dot, e Event) ([]byte, error) {
	if e.Ctx[d.Writer] >= d.Seq {
		return nil, fmt.Errorf("%w: ctx covers %v", ErrRewound, d)
	}
	writers := slices.DeleteFunc(e.Ctx.Writers(), func(w Writer) bool { return w == d.Writer })
	b = putBytes(b, fieldPath, e.Path)
	b = putUint(b, fieldKind, uint64(e.Value.Kind))
	b, err := encodeValue(b, e.Value)
	if err != nil {
		return nil, err
	}
	b = putFixed(b, fieldHLC, uint64(e.HLC))
	b = putUint(b, fieldOwn, e.Ctx[d.Writer])
	if b, err = encodeCtx(b, writers, e.Ctx); err != nil {
		return nil, err
	}
	if b, err = encodeDot(b, fieldCDot, e.CDot, d, writers); err != nil {
		return nil, err
	}
	if b, err = encodeDot(b, fieldMDot, e.MDot, d, writers); err != nil {
		return nil, err
	}
	var prev []byte
	for _, id := range e.Prev {
		prev = append(prev, id[:]...)
	}
	b = putBytes(b, fieldPrev, prev)
	b = putBytes(b, fieldFrom, e.From)
	if e.WasDir {
		b = putUint(b, fieldWasDir, 1)
	}
	if e.Found {
		b = putUint(b, fieldFound, 1)
	}
	return b, nil
}

func encodeValue(b []byte, v Value) ([]byte, error) {
	if v.Size < 0 || len(v.Chunks) > MaxInline {
		return nil, fmt.Errorf("%w: size %d, %d inline chunks", ErrEvent, v.Size, len(v.Chunks))
	}
	b = putUint(b, fieldMode, uint64(v.Mode))
	b = putFixed(b, fieldMTime, uint64(v.MTime))
	b = putUint(b, fieldSize, uint64(v.Size))
	b = putUint(b, fieldClass, uint64(v.Class))
	if n := len(v.Chunks); n > 0 {
		var ids, sizes []byte
		for i, c := range v.Chunks {
			if ids = append(ids, c.ID[:]...); i < n-1 {
				sizes = binary.AppendUvarint(sizes, uint64(c.Size))
			}
		}
		b = putBytes(putBytes(b, fieldChunkIDs, ids), fieldChunkSizes, sizes)
	} else if v.Kind == File && v.Size > 0 {
		b = putBytes(b, fieldRoot, v.Root[:])
	}
	return putBytes(b, fieldTarget, v.Target), nil
}

func encodeCtx(b []byte, writers []Writer, ctx Vector) ([]byte, error) {
	table, seqs := make([]byte, 0, len(writers)*writerSize), []byte(nil)
	for _, w := range writers {
		key, ok := rawKey(w.Node)
		if !ok {
			return nil, fmt.Errorf("%w: %v is not an Ed25519 node", ErrEvent, w)
		}
		table = binary.BigEndian.AppendUint64(append(table, key...), w.Epoch)
		seqs = binary.AppendUvarint(seqs, ctx[w])
	}
	return putBytes(putBytes(b, fieldWriters, table), fieldSeqs, seqs), nil
}

func encodeDot(b []byte, num protowire.Number, d, self Dot, writers []Writer) ([]byte, error) {
	if d.IsZero() || d == self {
		return b, nil
	}
	at := 0
	if d.Writer != self.Writer {
		i, ok := slices.BinarySearchFunc(writers, d.Writer, Writer.Compare)
		if !ok {
			return nil, fmt.Errorf("%w: dot %v is not in ctx", ErrEvent, d)
		}
		at = i + 1
	}
	pair := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(at)), d.Seq)
	return putBytes(b, num, pair), nil
}

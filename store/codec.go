package store

import (
	"encoding/binary"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/libp2p/go-libp2p/core/peer"
)

// reader takes a row apart. After the first lack of bytes it returns zeros, and bad stays set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) fixed64() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (r *reader) byte() byte {
	b := r.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// take is the next n bytes, still the row's own.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	return r.take(int(n))
}

// count reads a number of items of at least size bytes each, so that it cannot ask for more memory than the row has.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) id() (id chunker.ID) {
	copy(id[:], r.take(len(id)))
	return id
}

func (r *reader) fail() { r.b, r.bad = nil, true }

// end is ErrCorrupt when the row was too short, too long or not sane.
func (r *reader) end(what string) error {
	if r.bad || len(r.b) != 0 {
		return corrupt(what)
	}
	return nil
}

func appendBytes[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// zigzag puts small negative numbers among the small ones.
func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func appendWriter(b []byte, w event.Writer) []byte {
	return binary.AppendUvarint(appendBytes(b, string(w.Node)), w.Epoch)
}

func (r *reader) writer() event.Writer {
	return event.Writer{Node: peer.ID(r.bytes()), Epoch: r.uvarint()}
}

// ref appends a writer: its number, or 0 and the writer in full where it has no log here. Only a member that wrote
// gets a number, so that made-up writers in a vector do not fill the table.
func (ws *writers) ref(b []byte, w event.Writer) []byte {
	if n, ok := ws.number(w); ok {
		return binary.AppendUvarint(b, uint64(n))
	}
	return appendWriter(append(b, 0), w)
}

func (ws *writers) read(r *reader) event.Writer {
	n := r.uvarint()
	if n == 0 {
		return r.writer()
	}
	w, ok := ws.at(n)
	if !ok {
		r.fail()
	}
	return w
}

func (ws *writers) appendDot(b []byte, d event.Dot) []byte {
	return binary.AppendUvarint(ws.ref(b, d.Writer), d.Seq)
}

func (ws *writers) readDot(r *reader) event.Dot {
	return event.Dot{Writer: ws.read(r), Seq: r.uvarint()}
}

// appendVector writes v in the order of its writers, so that equal vectors give equal bytes.
func (ws *writers) appendVector(b []byte, v event.Vector) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	for _, w := range v.Writers() {
		b = binary.AppendUvarint(ws.ref(b, w), v[w])
	}
	return b
}

func (ws *writers) readVector(r *reader) event.Vector {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	v := make(event.Vector, n)
	for range n {
		w := ws.read(r)
		v[w] = r.uvarint()
	}
	return v
}

// appendValue writes all of v.
func appendValue(b []byte, v event.Value) []byte {
	b = append(b, byte(v.Kind))
	switch v.Kind {
	case event.File:
		b = append(append(b, byte(v.Class)), v.Root[:]...)
		b = binary.AppendUvarint(b, zigzag(v.Size))
		b = appendChunks(b, v.Chunks)
	case event.Link:
		b = appendBytes(b, v.Target)
	}
	b = binary.AppendUvarint(b, uint64(v.Mode))
	return binary.LittleEndian.AppendUint64(b, uint64(v.MTime))
}

func (r *reader) value() (v event.Value) {
	v.Kind = event.Kind(r.byte())
	switch v.Kind {
	case event.File:
		v.Class, v.Root, v.Size = r.class(), r.id(), unzigzag(r.uvarint())
		v.Chunks = r.chunks()
	case event.Link:
		v.Target = string(r.bytes())
	case event.Tomb, event.Dir:
	default:
		r.fail()
	}
	v.Mode, v.MTime = r.mode(), int64(r.fixed64())
	return v
}

func (r *reader) mode() uint16 {
	m := r.uvarint()
	if m > 0xffff {
		r.fail()
	}
	return uint16(m)
}

func appendChunks(b []byte, cs []chunker.Chunk) []byte {
	b = binary.AppendUvarint(b, uint64(len(cs)))
	for _, c := range cs {
		b = binary.AppendUvarint(append(b, c.ID[:]...), uint64(c.Size))
	}
	return b
}

func (r *reader) chunks() []chunker.Chunk {
	n := r.count(len(chunker.ID{}) + 1)
	if n == 0 {
		return nil
	}
	cs := make([]chunker.Chunk, n)
	for i := range cs {
		cs[i] = chunker.Chunk{ID: r.id(), Size: uint32(r.uvarint())}
	}
	return cs
}

func (r *reader) class() chunker.Class {
	c := chunker.Class(r.byte())
	if !c.Valid() {
		r.fail()
	}
	return c
}

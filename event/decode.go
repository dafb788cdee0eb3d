package event

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bwaklog/meerkat/chunker"
)

// decoder decodes events of one segment. Writers recur, so it keeps one copy of each node's id.
type decoder struct {
	nodes map[string]peer.ID
	// What the event at hand holds before it can be understood as a whole.
	self    Dot
	ids     []byte
	sizes   field
	writers []Writer
}

// OpenLeaf decodes the event d from raw, which the leaf keeps: nobody may change it afterwards. It checks every limit
// and that raw is canonical, but no signature; who got raw from elsewhere than a verified segment compares Hash.
func OpenLeaf(d Dot, raw []byte) (Leaf, error) {
	hash, ok := newLeafHasher(d.Writer)
	if !ok {
		return Leaf{}, fmt.Errorf("%w: %v is not an Ed25519 node", ErrEvent, d.Writer)
	}
	e, err := new(decoder).event(d, raw)
	if err != nil {
		return Leaf{}, err
	}
	return Leaf{Event: e, Dot: d, Hash: hash.sum(d.Seq, raw), Raw: raw[:len(raw):len(raw)]}, nil
}

// event decodes and checks one event.
func (r *decoder) event(d Dot, raw []byte) (Event, error) {
	if len(raw) > MaxEvent {
		return Event{}, fmt.Errorf("%w: event of %d bytes", ErrTooLarge, len(raw))
	}
	r.self, r.ids, r.sizes, r.writers = d, nil, field{}, r.writers[:0]
	var e Event
	in := fields{rest: raw}
	for {
		f, more, err := in.next()
		if err != nil {
			return Event{}, err
		}
		if !more {
			break
		}
		if err := r.field(&e, f); err != nil {
			return Event{}, err
		}
	}
	if err := r.finish(&e); err != nil {
		return Event{}, err
	}
	return e, nil
}

// wireTypes of the fields of Event by their number.
var wireTypes = [...]protowire.Type{
	fieldPath: protowire.BytesType, fieldKind: protowire.VarintType, fieldMode: protowire.VarintType,
	fieldMTime: protowire.Fixed64Type, fieldSize: protowire.VarintType, fieldClass: protowire.VarintType,
	fieldChunkIDs: protowire.BytesType, fieldChunkSizes: protowire.BytesType, fieldRoot: protowire.BytesType,
	fieldTarget: protowire.BytesType, fieldHLC: protowire.Fixed64Type, fieldOwn: protowire.VarintType,
	fieldWriters: protowire.BytesType, fieldSeqs: protowire.BytesType, fieldCDot: protowire.BytesType,
	fieldMDot: protowire.BytesType, fieldPrev: protowire.BytesType, fieldFrom: protowire.BytesType,
	fieldWasDir: protowire.VarintType, fieldFound: protowire.VarintType,
}

func (r *decoder) field(e *Event, f field) (err error) {
	if int(f.num) >= len(wireTypes) {
		return nil // of a later version: kept in Raw
	}
	if err := f.want(wireTypes[f.num]); err != nil {
		return err
	}
	if f.num > fieldHLC {
		return r.causal(e, f)
	}
	v := &e.Value
	switch f.num {
	case fieldPath:
		e.Path, err = ParsePath(f.b)
	case fieldKind:
		v.Kind, err = Kind(f.v), limit(f, uint64(Link))
	case fieldMode:
		v.Mode, err = uint16(f.v), limit(f, ModeMask)
	case fieldMTime:
		v.MTime = int64(f.v)
	case fieldSize:
		v.Size, err = int64(f.v), limit(f, chunker.MaxFile)
	case fieldClass:
		v.Class, err = chunker.Class(f.v), limit(f, uint64(chunker.Large))
	case fieldChunkIDs:
		r.ids = f.b
	case fieldChunkSizes:
		r.sizes = f
	case fieldRoot:
		v.Root, err = f.id32()
	case fieldTarget:
		v.Target, err = string(f.b), limit(field{num: f.num, v: uint64(len(f.b))}, MaxTarget)
	case fieldHLC:
		e.HLC = HLC(f.v)
	}
	return err
}

func limit(f field, most uint64) error {
	if f.v > most {
		return fmt.Errorf("%w: field %d is %d, at most %d", ErrEvent, f.num, f.v, most)
	}
	return nil
}

func (r *decoder) causal(e *Event, f field) (err error) {
	switch f.num {
	case fieldOwn:
		if f.v >= r.self.Seq {
			return fmt.Errorf("%w: ctx covers the event itself", ErrEvent)
		}
		e.Ctx = e.Ctx.put(Dot{r.self.Writer, f.v})
	case fieldWriters:
		err = r.table(f)
	case fieldSeqs:
		err = r.ctx(e, f)
	case fieldCDot:
		e.CDot, err = r.dot(e.Ctx, f)
	case fieldMDot:
		e.MDot, err = r.dot(e.Ctx, f)
	case fieldPrev:
		e.Prev, err = decodePrev(f)
	case fieldFrom:
		e.From, err = ParsePath(f.b)
	case fieldWasDir:
		e.WasDir, err = true, limit(f, 1)
	case fieldFound:
		e.Found, err = true, limit(f, 1)
	}
	return err
}

func (r *decoder) table(f field) error {
	if len(f.b)%writerSize != 0 || len(f.b) > MaxVector*writerSize {
		return fmt.Errorf("%w: writers of %d bytes", ErrEvent, len(f.b))
	}
	for b := f.b; len(b) > 0; b = b[writerSize:] {
		w := Writer{r.node(b[:keySize]), binary.BigEndian.Uint64(b[keySize:])}
		if n := len(r.writers); w == r.self.Writer || n > 0 && r.writers[n-1].Compare(w) >= 0 {
			return fmt.Errorf("%w: writers are out of order", ErrEvent)
		}
		r.writers = append(r.writers, w)
	}
	return nil
}

func (r *decoder) node(key []byte) peer.ID {
	id, ok := r.nodes[string(key)]
	if !ok {
		if r.nodes == nil {
			r.nodes = make(map[string]peer.ID)
		}
		id = nodeOf(key)
		r.nodes[string(key)] = id
	}
	return id
}

func (r *decoder) ctx(e *Event, f field) error {
	var room [16]uint64
	seqs := room[:min(len(r.writers), len(room))]
	if len(r.writers) > len(room) {
		seqs = make([]uint64, len(r.writers))
	}
	if err := f.packed(seqs); err != nil {
		return err
	}
	if e.Ctx == nil {
		e.Ctx = make(Vector, len(seqs))
	}
	for i, w := range r.writers {
		if seqs[i] == 0 {
			return fmt.Errorf("%w: ctx has a zero", ErrEvent)
		}
		e.Ctx[w] = seqs[i]
	}
	return nil
}

// dot reads a reference to an earlier event, which must lie within ctx.
func (r *decoder) dot(ctx Vector, f field) (Dot, error) {
	var pair [2]uint64
	if err := f.packed(pair[:]); err != nil {
		return Dot{}, err
	}
	d := Dot{r.self.Writer, pair[1]}
	if pair[0] > uint64(len(r.writers)) {
		return Dot{}, fmt.Errorf("%w: field %d names no writer", ErrEvent, f.num)
	}
	if pair[0] > 0 {
		d.Writer = r.writers[pair[0]-1]
	}
	if !ctx.Covers(d) {
		return Dot{}, fmt.Errorf("%w: field %d is a dot that ctx does not cover", ErrEvent, f.num)
	}
	return d, nil
}

func decodePrev(f field) ([]chunker.ID, error) {
	const size = len(chunker.ID{})
	if len(f.b)%size != 0 || len(f.b) > MaxPrev*size {
		return nil, fmt.Errorf("%w: prev of %d bytes", ErrEvent, len(f.b))
	}
	prev := make([]chunker.ID, 0, len(f.b)/size)
	for b := f.b; len(b) > 0; b = b[size:] {
		prev = append(prev, chunker.ID(b))
		if !distinct(prev) {
			return nil, fmt.Errorf("%w: prev has a zero or a double", ErrEvent)
		}
	}
	return prev, nil
}

// distinct says whether the last of ids is not zero and unlike the others.
func distinct(ids []chunker.ID) bool {
	last := ids[len(ids)-1]
	for _, id := range ids[:len(ids)-1] {
		if id == last {
			return false
		}
	}
	return !last.IsZero()
}

// finish fills in what is implied and checks the event as a whole.
func (r *decoder) finish(e *Event) error {
	if e.Path == "" {
		return fmt.Errorf("%w: no path", ErrEvent)
	}
	if len(r.writers) > 0 && len(e.Ctx) < len(r.writers) {
		return fmt.Errorf("%w: ctx has no seqs", ErrEvent)
	}
	if e.CDot.IsZero() {
		e.CDot = r.self
	}
	if e.MDot.IsZero() {
		e.MDot = r.self
	}
	if e.WasDir && e.Value.Kind != Tomb {
		return fmt.Errorf("%w: %v that was a directory", ErrEvent, e.Value.Kind)
	}
	if e.Found && e.Value.Kind == Tomb {
		return fmt.Errorf("%w: a tombstone that was found", ErrEvent)
	}
	if e.Value.Kind == File {
		return r.file(&e.Value)
	}
	return r.fileless(e.Value)
}

// fileless checks that a value other than a file has only what belongs to it.
func (r *decoder) fileless(v Value) error {
	link := v.Kind == Link
	switch {
	case v.Size != 0 || v.Class != 0 || len(r.ids) != 0 || r.sizes.num != 0 || !v.Root.IsZero():
		return fmt.Errorf("%w: %v with a file's content", ErrEvent, v.Kind)
	case link != (v.Target != "") || strings.IndexByte(v.Target, 0) >= 0:
		return fmt.Errorf("%w: %v with target %.80q", ErrEvent, v.Kind, v.Target)
	case link && v.Mode != LinkMode, !link && v.MTime != 0:
		return fmt.Errorf("%w: %v with mode %o and mtime %d", ErrEvent, v.Kind, v.Mode, v.MTime)
	}
	return nil
}

// file checks a file's content. With its chunks here, or none at all, the root follows from them.
func (r *decoder) file(v *Value) error {
	if v.Target != "" {
		return fmt.Errorf("%w: file with a target", ErrEvent)
	}
	inline := len(r.ids) > 0 || v.Size == 0
	if inline != v.Root.IsZero() || !inline && r.sizes.num != 0 {
		return fmt.Errorf("%w: file of %d bytes needs either chunks or a root", ErrEvent, v.Size)
	}
	if !inline {
		return nil
	}
	if err := r.chunks(v); err != nil {
		return err
	}
	v.Root = chunker.Manifest{Class: v.Class, Size: v.Size, Chunks: v.Chunks}.Root()
	return nil
}

func (r *decoder) chunks(v *Value) error {
	const size = len(chunker.ID{})
	n := len(r.ids) / size
	if len(r.ids)%size != 0 || n > MaxInline || n == 0 && r.sizes.num != 0 {
		return fmt.Errorf("%w: inline chunks of %d bytes", ErrEvent, len(r.ids))
	}
	if n == 0 {
		return nil
	}
	var room [MaxInline]uint64
	sizes, left := room[:n], v.Size
	if err := r.sizes.packed(sizes[:n-1]); err != nil {
		return err
	}
	v.Chunks = make([]chunker.Chunk, n)
	for i := range v.Chunks {
		if i == n-1 {
			sizes[i] = uint64(max(left, 0))
		}
		if sizes[i] == 0 || sizes[i] > chunker.MaxChunk {
			return fmt.Errorf("%w: the chunks do not add up to %d bytes", ErrEvent, v.Size)
		}
		v.Chunks[i] = chunker.Chunk{ID: chunker.ID(r.ids[i*size:]), Size: uint32(sizes[i])}
		left -= int64(sizes[i])
	}
	return nil
}

package event

import (
	"encoding/binary"
	"fmt"

	"github.com/bwaklog/meerkat/chunker"
)

// Kind is what sort of entry stands at a path.
type Kind uint8

// The kinds. Tomb is the zero Kind: nothing stands there.
const (
	Tomb Kind = iota
	File
	Dir
	Link
)

var kindNames = [...]string{"tomb", "file", "dir", "link"}

// String is the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Limits of a value.
const (
	MaxInline   = 8     // chunks listed in the event itself
	MaxTarget   = 4096  // bytes of a link's target
	ModeMask    = 0o777 // the nine bits that are synced
	LinkMode    = 0o777 // of every link
	ImpliedMode = 0o755 // of a directory that no event describes
)

// Value is what stands at a path. Values share their Chunks, which nobody may change.
type Value struct {
	Kind   Kind
	Root   chunker.ID      // File: the manifest's name
	Size   int64           // File: bytes
	Class  chunker.Class   // File
	Chunks []chunker.Chunk // File: all of them or none; only where they are at most MaxInline
	Target string          // Link
	Mode   uint16          // nine bits; LinkMode for links; a tombstone keeps the mode of what it deleted
	MTime  int64           // ns since 1970; 0 for directories and tombstones
}

// Live says whether anything stands there.
func (v Value) Live() bool { return v.Kind != Tomb }

// SameContent says whether v and w are the same kind with the same bytes or target. Two tombstones are the same, and
// so are two directories.
func (v Value) SameContent(w Value) bool { return contentOf(v) == contentOf(w) }

// sameness is what values of the same content share.
type sameness struct {
	kind   Kind
	root   chunker.ID
	target string
}

func contentOf(v Value) sameness { return sameness{v.Kind, v.Root, v.Target} }

// Same says whether v and w have the same content, mode and mtime.
func (v Value) Same(w Value) bool {
	return v.SameContent(w) && v.Mode == w.Mode && v.MTime == w.MTime
}

// Alike says whether a folder that shows v needs no change to show w: they are the same, or nothing stands there with
// either. (Tombstones differ in the mode that they keep.)
func (v Value) Alike(w Value) bool { return v.Same(w) || !v.Live() && !w.Live() }

// Content names what v holds, as it stands in Prev: a file's root, the hash of a link's target, and zero for the rest.
func (v Value) Content() chunker.ID {
	switch v.Kind {
	case File:
		return v.Root
	case Link:
		return chunker.Sum(append([]byte(domainLink), v.Target...))
	}
	return chunker.ID{}
}

// Entry is the leaf of the live tree's digest for v at p: equal just when path, kind, content, mode and mtime are.
func (v Value) Entry(p Path) [32]byte {
	var scratch [256]byte
	b := append(scratch[:0], domainEntry...)
	b = binary.AppendUvarint(b, uint64(len(p)))
	b = append(append(b, p...), byte(v.Kind))
	id := v.Content()
	b = binary.BigEndian.AppendUint16(append(b, id[:]...), v.Mode)
	return sum(binary.BigEndian.AppendUint64(b, uint64(v.MTime)))
}

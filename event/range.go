package event

import "encoding/binary"

// FanOut is how many parts a [Range] has, and MaxDepth the depth of a range that has none, being one key.
const (
	FanOut   = 16
	MaxDepth = 16
)

const (
	nibble  = 4  // bits that a part adds to its range's prefix
	keyBits = 64 // of a Key
)

// Key places a path in the order of state reconciliation: the first 8 bytes of a hash of it, big-endian. Two paths may have one
// key; nothing but speed depends on its being rare.
type Key uint64

// KeyOf is the key of p.
func KeyOf(p Path) Key { return keyOf(sum(append([]byte(domainKey), p...))) }

func keyOf(h Hash) Key { return Key(binary.BigEndian.Uint64(h[:])) }

// Item is one member of the set that two nodes reconcile: the state of a path ([State.Item]), or a roster record.
type Item struct {
	Key  Key
	Hash [32]byte
}

// RecordItem is the item of the roster record of that hash.
func RecordItem(h Hash) Item {
	i := sum(append([]byte(domainRecord), h[:]...))
	return Item{Key: keyOf(i), Hash: i}
}

// Range is the keys whose first Depth nibbles are those of Prefix; the rest of Prefix is zero. The zero Range is all keys.
type Range struct {
	Prefix Key
	Depth  int // 0 to MaxDepth
}

// Valid says whether r is a range at all: what comes from others may not be.
func (r Range) Valid() bool {
	return r.Depth >= 0 && r.Depth <= MaxDepth && r.Prefix&r.rest() == 0
}

// rest is the bits that the prefix leaves open.
func (r Range) rest() Key { return ^Key(0) >> (nibble * r.Depth) }

// First and Last are the lowest and the highest key of r.
func (r Range) First() Key { return r.Prefix }

// Last is the highest key of r.
func (r Range) Last() Key { return r.Prefix | r.rest() }

// Has says whether k lies in r.
func (r Range) Has(k Key) bool { return k&^r.rest() == r.Prefix }

// Part is the i-th of the FanOut parts of r, in order of keys. A range of MaxDepth has no parts.
func (r Range) Part(i int) Range {
	d := r.Depth + 1
	return Range{Prefix: r.Prefix | Key(i)<<(keyBits-nibble*d), Depth: d}
}

// PartOf is the number of the part of r that k, which must lie in r, is in.
func (r Range) PartOf(k Key) int {
	return int(k >> (keyBits - nibble*(r.Depth+1)) % FanOut)
}

// Proved is an event on its own, with the proof by [Segment.Proof] that its writer signed it. [VerifyProof] opens it.
type Proved struct{ Raw, Proof []byte }

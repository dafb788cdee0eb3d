package event

import (
	"encoding/binary"
	"slices"
)

// leafHasher names the events of one writer. The dot is hashed with the bytes, so that equal words of two authors have
// different names.
type leafHasher struct{ buf []byte }

func newLeafHasher(w Writer) (leafHasher, bool) {
	key, ok := rawKey(w.Node)
	b := append(make([]byte, 0, 1024), domainLeaf...)
	b = binary.BigEndian.AppendUint64(append(b, key...), w.Epoch)
	return leafHasher{b}, ok
}

func (h *leafHasher) sum(seq uint64, raw []byte) Hash {
	prefix := len(domainLeaf) + writerSize
	b := binary.BigEndian.AppendUint64(h.buf[:prefix], seq)
	h.buf = append(b, raw...)
	return sum(h.buf)
}

// merkleNode is the parent of two hashes.
func merkleNode(l, r Hash) Hash {
	var b [len(domainNode) + 2*len(l)]byte
	copy(b[copy(b[:], domainNode):], l[:])
	copy(b[len(domainNode)+len(l):], r[:])
	return sum(b[:])
}

// merkleUp is the level above: neighbours in pairs, and an odd one at the end as it is. It overwrites level.
func merkleUp(level []Hash) []Hash {
	n := len(level)
	for i := 0; i+1 < n; i += 2 {
		level[i/2] = merkleNode(level[i], level[i+1])
	}
	if n%2 == 1 {
		level[n/2] = level[n-1]
	}
	return level[:(n+1)/2]
}

func hashesOf(leaves []Leaf) []Hash {
	hs := make([]Hash, len(leaves))
	for i := range leaves {
		hs[i] = leaves[i].Hash
	}
	return hs
}

// merkleRoot is the root over at least one leaf.
func merkleRoot(leaves []Leaf) Hash {
	level := hashesOf(leaves)
	for len(level) > 1 {
		level = merkleUp(level)
	}
	return level[0]
}

// merklePath is the siblings that lead from leaf i to the root.
func merklePath(leaves []Leaf, i int) []Hash {
	var path []Hash
	for level := hashesOf(leaves); len(level) > 1; level, i = merkleUp(level), i/2 {
		if i^1 < len(level) {
			path = append(path, level[i^1])
		}
	}
	return slices.Clip(path)
}

// merkleClimb is the root that h and path lead to as leaf i of n; false when path has another length.
func merkleClimb(h Hash, path []Hash, i, n int) (Hash, bool) {
	for ; n > 1; i, n = i/2, (n+1)/2 {
		if i^1 >= n {
			continue
		}
		if len(path) == 0 {
			return Hash{}, false
		}
		if i%2 == 0 {
			h = merkleNode(h, path[0])
		} else {
			h = merkleNode(path[0], h)
		}
		path = path[1:]
	}
	return h, len(path) == 0
}

package event

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Proof shows that leaf i of s was signed by its writer, without the other leaves: header, signature and the way to the
// Merkle root, at most 12 hashes. [VerifyProof] checks it with the leaf's Raw.
func (s Segment) Proof(i int) ([]byte, error) {
	if i < 0 || i >= len(s.Leaves) {
		return nil, fmt.Errorf("%w: no leaf %d of %d", ErrSegment, i, len(s.Leaves))
	}
	head, sig, _, err := splitSegment(s.Raw)
	if err != nil {
		return nil, err
	}
	b := putUint(putBytes(putBytes(nil, segHeader, head), segSig, sig), proofIndex, uint64(i))
	var path []byte
	for _, h := range merklePath(s.Leaves, i) {
		path = append(path, h[:]...)
	}
	return putBytes(b, proofPath, path), nil
}

// VerifyProof opens raw as the leaf that proof, by [Segment.Proof], says it is. The leaf keeps raw.
func VerifyProof(pool PoolID, proof, raw []byte) (Leaf, error) {
	if len(proof) > headerMost*4 {
		return Leaf{}, fmt.Errorf("%w: proof of %d bytes", ErrTooLarge, len(proof))
	}
	head, sig, rest, err := splitSegment(proof)
	if err != nil {
		return Leaf{}, err
	}
	h, _, err := openHeader(pool, head, sig)
	if err != nil {
		return Leaf{}, err
	}
	i, path, err := splitProof(rest)
	if err != nil {
		return Leaf{}, err
	}
	if i >= h.count {
		return Leaf{}, fmt.Errorf("%w: proof of leaf %d of %d", ErrSegment, i, h.count)
	}
	l, err := OpenLeaf(Dot{h.writer, h.first + i}, raw)
	if err != nil {
		return Leaf{}, err
	}
	if root, ok := merkleClimb(l.Hash, path, int(i), int(h.count)); !ok || root != h.root {
		return Leaf{}, fmt.Errorf("%w: proof is of another event", ErrSegment)
	}
	return l, nil
}

func splitProof(b []byte) (index uint64, path []Hash, err error) {
	in := fields{rest: b, last: segSig}
	for {
		f, more, err := in.next()
		if err != nil || !more {
			return index, path, err
		}
		switch {
		case f.num == proofIndex && f.typ == protowire.VarintType && f.v != 0:
			index = f.v
		case f.num == proofPath && len(f.b) > 0 && len(f.b)%len(Hash{}) == 0:
			for h := f.b; len(h) > 0; h = h[len(Hash{}):] {
				path = append(path, Hash(h))
			}
		default:
			return 0, nil, fmt.Errorf("%w: bad proof", ErrSegment)
		}
	}
}

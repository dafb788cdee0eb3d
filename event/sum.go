package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Sum is a digest of a multiset of 32-byte items that can be kept up to date: their count, and their sum modulo 2^256
// as big-endian numbers. The items must be hashes. The zero Sum is that of the empty set.
type Sum struct {
	count uint64
	limbs [4]uint64 // the lowest first
}

// SumSize is the length of [Sum.Bytes].
const SumSize = 8 + 32

// ErrSum is wrapped by every error of [ParseSum].
var ErrSum = errors.New("bad sum")

// Add puts an item in.
func (s *Sum) Add(item [32]byte) {
	var carry uint64
	for i := range s.limbs {
		s.limbs[i], carry = bits.Add64(s.limbs[i], limb(item[:], i), carry)
	}
	s.count++
}

// Sub takes an item out that was put in before.
func (s *Sum) Sub(item [32]byte) {
	var borrow uint64
	for i := range s.limbs {
		s.limbs[i], borrow = bits.Sub64(s.limbs[i], limb(item[:], i), borrow)
	}
	s.count--
}

// Join puts in all that t had put in, and takes out all that t had taken out: t may be a difference, of which more was taken
// out than put in.
func (s *Sum) Join(t Sum) {
	var carry uint64
	for i := range s.limbs {
		s.limbs[i], carry = bits.Add64(s.limbs[i], t.limbs[i], carry)
	}
	s.count += t.count
}

func limb(b []byte, i int) uint64 { return binary.BigEndian.Uint64(b[24-8*i:]) }

// Count is how many items are in.
func (s Sum) Count() uint64 { return s.count }

// Bytes is the count and the sum, big-endian, [SumSize] bytes.
func (s Sum) Bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, SumSize), s.count)
	for i := range s.limbs {
		b = binary.BigEndian.AppendUint64(b, s.limbs[3-i])
	}
	return b
}

// ParseSum reads what [Sum.Bytes] wrote.
func ParseSum(b []byte) (Sum, error) {
	if len(b) != SumSize {
		return Sum{}, fmt.Errorf("%w: %d bytes, want %d", ErrSum, len(b), SumSize)
	}
	s := Sum{count: binary.BigEndian.Uint64(b)}
	for i := range s.limbs {
		s.limbs[i] = limb(b[8:], i)
	}
	return s, nil
}

// Fingerprint is what two nodes compare. A fresh nonce of both keeps a collision from being prepared; nil will do
// where nobody is an adversary.
func (s Sum) Fingerprint(nonce []byte) Hash {
	b := append([]byte(domainSum), s.Bytes()...)
	return sum(append(b, nonce...))
}

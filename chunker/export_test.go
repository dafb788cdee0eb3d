package chunker

import (
	"encoding/binary"
	"encoding/hex"
)

// Rule opens the cutter to the tests.
type Rule = rule

func RuleOf(c Class) Rule { return ruleOf(c) }

// Next is the length of the chunk that b begins with, where b is looked at piece by piece.
func (r *rule) Next(b []byte, pieces int) int {
	seen := 0
	for have := min(pieces, len(b)); ; have = min(have+pieces, len(b)) {
		n, found := r.next(b[:have], seen)
		if found || have == len(b) {
			return n
		}
		seen = have
	}
}

// Slow says what next computes, in the plainest way: the first cut of at least min+1 bytes where the hash of the 64
// bytes in front of it has no bit of the mask in force there, else max or the end.
func (r *rule) Slow(b []byte) int {
	for n := r.min + 1; n < min(len(b), r.max); n++ {
		var h uint64
		for _, c := range b[n-memory : n] {
			h = h<<1 + gears[0][c]
		}
		if m := map[bool]uint64{true: r.hard, false: r.easy}[n <= r.avg]; h&m == 0 {
			return n
		}
	}
	return min(len(b), r.max)
}

// GearHash is the BLAKE3 of the gear table in hex, each word little endian.
func GearHash() string {
	var raw []byte
	for _, w := range gears[0] {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	id := Sum(raw)
	return hex.EncodeToString(id[:])
}

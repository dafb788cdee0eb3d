package chunker

import (
	"encoding/binary"

	"github.com/zeebo/blake3"
)

// gearSeed is what the gear table is derived from: its 256 words are the first 2048 bytes of the BLAKE3 output
// stream of this string, little endian. Another table is another format.
const gearSeed = "meerkat 2026 chunker gear table 1"

// gears holds the table four times, shifted left by its index, so that four bytes can be rolled in with one shift.
var gears = newGears(gearSeed)

func newGears(seed string) (g [4][256]uint64) {
	h := blake3.New()
	_, _ = h.WriteString(seed) // a hash does not fail
	var raw [256 * 8]byte
	_, _ = h.Digest().Read(raw[:]) // nor does its output end
	for i := range g[0] {
		w := binary.LittleEndian.Uint64(raw[8*i:])
		g[0][i], g[1][i], g[2][i], g[3][i] = w, w<<1, w<<2, w<<3
	}
	return g
}

// rule is a class as the cutter sees it.
type rule struct {
	min, avg, max int
	hard, easy    uint64 // masks below and above avg: a cut stands where the hash has no bit of the mask
}

const (
	memory    = 64 // bytes that the hash remembers
	level     = 2  // normalisation: bits by which the masks differ from avg's
	maskTop   = 61 // masks end here: four rolled bytes shift them by three
	smallBits = 16 // log2 of Small's average
)

func ruleOf(c Class) rule {
	low, mid, high := c.Sizes()
	bits := smallBits + 2*int(c)
	return rule{low, mid, high, mask(bits + level), mask(bits - level)}
}

func mask(bits int) uint64 { return (1<<bits - 1) << (maskTop - bits) }

// next is the length of the chunk that b begins with. b must hold max bytes, or all that is left of the file. Only a
// cut at least min from the start is looked at, but the hash covers the bytes before it, so that a cut depends on the
// 64 bytes that it follows and not on where the chunk began.
func (r *rule) next(b []byte) int {
	b = b[:min(len(b), r.max)]
	if len(b) <= r.min {
		return len(b)
	}
	var h uint64
	for _, c := range b[r.min-memory : r.min] {
		h = h<<1 + gears[0][c]
	}
	mid := min(r.avg, len(b))
	n, h, ok := roll(b[r.min:mid], h, r.hard)
	if ok {
		return r.min + n
	}
	n, _, _ = roll(b[mid:], h, r.easy)
	return mid + n
}

// roll moves the hash h over b until it has no bit of m: ok, and n bytes were taken. Otherwise n is len(b).
func roll(b []byte, h, m uint64) (n int, hash uint64, ok bool) {
	g0, g1, g2, g3 := &gears[0], &gears[1], &gears[2], &gears[3]
	i := 0
	for ; i+4 <= len(b); i += 4 {
		v := binary.LittleEndian.Uint32(b[i:])
		h = h<<4 + g3[uint8(v)]
		if h&(m<<3) == 0 {
			return i + 1, h >> 3, true
		}
		h += g2[uint8(v>>8)]
		if h&(m<<2) == 0 {
			return i + 2, h >> 2, true
		}
		h += g1[uint8(v>>16)]
		if h&(m<<1) == 0 {
			return i + 3, h >> 1, true
		}
		h += g0[uint8(v>>24)]
		if h&m == 0 {
			return i + 4, h, true
		}
	}
	for ; i < len(b); i++ {
		h = h<<1 + g0[b[i]]
		if h&m == 0 {
			return i + 1, h, true
		}
	}
	return len(b), h, false
}

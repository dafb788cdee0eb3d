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

// next looks for the end of the chunk that b begins with, of which the first seen bytes were looked at before without
// finding one. found: the chunk is b[:n]. Otherwise it goes on beyond b; a chunk of max bytes is always found. Only a
// cut more than min from the start counts, but the hash covers the bytes before it, so that a cut depends on the 64 bytes
// that it follows and not on where the chunk began, nor on how much of it came at once.
func (r *rule) next(b []byte, seen int) (n int, found bool) {
	b = b[:min(len(b), r.max)]
	from := max(seen, r.min)
	if len(b) <= from {
		return len(b), len(b) == r.max
	}
	var h uint64
	for _, c := range b[from-memory : from] {
		h = h<<1 + gears[0][c]
	}
	if mid := min(r.avg, len(b)); from < mid {
		if n, h, found = roll(b[from:mid], h, r.hard); found {
			return from + n, true
		}
		from = mid
	}
	n, _, found = roll(b[from:], h, r.easy)
	return from + n, found || from+n == r.max
}

// roll moves the hash h over b until it has no bit of m: found, and n bytes were taken. Otherwise n is len(b).
// Every byte is tested; h stands shifted by what the rest of four bytes will shift it.
func roll(b []byte, h, m uint64) (n int, hash uint64, found bool) {
	g, m1, m2, m3 := &gears, m<<1, m<<2, m<<3
	i := 0
	for ; i+8 <= len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		h = h<<4 + g[3][uint8(v)]
		if h&m3 == 0 {
			return i + 1, h >> 3, true
		}
		h += g[2][uint8(v>>8)]
		if h&m2 == 0 {
			return i + 2, h >> 2, true
		}
		h += g[1][uint8(v>>16)]
		if h&m1 == 0 {
			return i + 3, h >> 1, true
		}
		h += g[0][uint8(v>>24)]
		if h&m == 0 {
			return i + 4, h, true
		}
		h = h<<4 + g[3][uint8(v>>32)]
		if h&m3 == 0 {
			return i + 5, h >> 3, true
		}
		h += g[2][uint8(v>>40)]
		if h&m2 == 0 {
			return i + 6, h >> 2, true
		}
		h += g[1][uint8(v>>48)]
		if h&m1 == 0 {
			return i + 7, h >> 1, true
		}
		h += g[0][uint8(v>>56)]
		if h&m == 0 {
			return i + 8, h, true
		}
	}
	for ; i < len(b); i++ {
		h = h<<1 + g[0][b[i]]
		if h&m == 0 {
			return i + 1, h, true
		}
	}
	return len(b), h, false
}

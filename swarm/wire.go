package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/bwaklog/meerkat/chunker"
)

// A stream of /meerkat/chunks/1 belongs to one pool. The one who opened it sends frames (uvarint length, at most 64 KiB):
//
//	0x01 pool                open: the first frame, and only that
//	0x02 id id …             chunks, at most 1024
//	0x03 id id …             manifest blocks, at most 1024
//	0x04 root root …         what is there of these files, at most 1024
//	0x05 id id …             chunks, at most 1024, which the sender need not have hashed
//
// Each id is 32 bytes, and gets one reply, in the order of the requests:
//
//	status, length (4 bytes, big endian), so many bytes
//
// status 0 brings the bytes of the chunk or block, at most 4 MiB, or of the answer to 0x04:
//
//	0x00 uvarint n           nothing is there of n chunks (0: the root is unknown)
//	0x01 uvarint n           all n chunks are there
//	0x02 uvarint n, have, coming: two bitmaps of n bits, the lowest bit of a byte first: what is there, and what was asked
//	                         of others and is on its way
//
// 1 missing, 2 unreadable and 3 changed come with length 0, and say why there are no bytes. 4, refused, is the last reply on a
// stream: the peer is no member, or asks too much.
const (
	maxFrame = 64 << 10
	maxIDs   = 1024

	kindOpen   byte = 1
	kindChunks byte = 2
	kindBlocks byte = 3
	kindHave   byte = 4
	kindPlain  byte = 5

	statusOK         byte = 0
	statusMissing    byte = 1
	statusUnreadable byte = 2
	statusChanged    byte = 3
	statusRefused    byte = 4

	headBytes = 5
)

var errWire = errors.New("against the protocol")

func appendOpen(b []byte, pool Pool) []byte { return append(append(b, kindOpen), pool[:]...) }

func decodeOpen(b []byte) (Pool, error) {
	if len(b) != 1+len(Pool{}) || b[0] != kindOpen {
		return Pool{}, fmt.Errorf("%w: no opening frame", errWire)
	}
	return Pool(b[1:]), nil
}

// decodeIDs takes a request apart; ids lie in b.
func decodeIDs(b []byte) (kind byte, ids []byte, err error) {
	if len(b) == 0 || b[0] < kindChunks || b[0] > kindPlain {
		return 0, nil, fmt.Errorf("%w: unknown request", errWire)
	}
	ids = b[1:]
	if n := len(ids) / len(chunker.ID{}); n == 0 || n > maxIDs || len(ids)%len(chunker.ID{}) != 0 {
		return 0, nil, fmt.Errorf("%w: %d bytes of ids", errWire, len(ids))
	}
	return b[0], ids, nil
}

func putHead(b []byte, status byte, n int) {
	b[0] = status
	binary.BigEndian.PutUint32(b[1:headBytes], uint32(n))
}

func appendHead(b []byte, status byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, status), uint32(n))
}

func readHead(r io.Reader) (status byte, n int, err error) {
	var b [headBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, err
	}
	return decodeHead(b)
}

func decodeHead(b [headBytes]byte) (status byte, n int, err error) {
	size := binary.BigEndian.Uint32(b[1:])
	switch {
	case b[0] > statusRefused:
		return 0, 0, fmt.Errorf("%w: status %d", errWire, b[0])
	case size > chunker.MaxChunk || b[0] != statusOK && size != 0:
		return 0, 0, fmt.Errorf("%w: status %d with %d bytes", errWire, b[0], size)
	}
	return b[0], int(size), nil
}

// holding is what a peer has of one file. The zero holding is a file that it does not know.
type holding struct {
	n            int
	all          bool
	have, coming []byte // nil: nothing
}

func bit(b []byte, i int) bool { return i >= 0 && i/8 < len(b) && b[i/8]>>(i%8)&1 == 1 }

func setBit(b []byte, i int) { b[i/8] |= 1 << (i % 8) }

func (h holding) has(i int) bool    { return h.all && i >= 0 && i < h.n || bit(h.have, i) }
func (h holding) awaits(i int) bool { return bit(h.coming, i) }

const (
	haveNone byte = iota
	haveAll
	haveSome

	maxBits = 8 * (chunker.MaxChunk/2 - 16) // beyond, the two bitmaps would not fit a reply
)

func (h holding) encode() []byte {
	b := []byte{haveNone}
	if h.all {
		b[0] = haveAll
	} else if h.n <= maxBits && (h.have != nil || h.coming != nil) {
		b[0] = haveSome
	}
	b = binary.AppendUvarint(b, uint64(h.n))
	if b[0] == haveSome {
		b = append(append(b, sized(h.have, h.n)...), sized(h.coming, h.n)...)
	}
	return b
}

// sized is a bitmap of exactly n bits.
func sized(b []byte, n int) []byte {
	out := make([]byte, (n+7)/8)
	copy(out, b)
	if n%8 != 0 {
		out[len(out)-1] &= 1<<(n%8) - 1
	}
	return out
}

// decodeHolding reads the answer to 0x04. The bitmaps lie in b.
func decodeHolding(b []byte) (holding, error) {
	bad := func() (holding, error) { return holding{}, fmt.Errorf("%w: malformed bitmap", errWire) }
	if len(b) == 0 {
		return bad()
	}
	n, used := binary.Uvarint(b[1:])
	if used <= 0 || n > chunker.MaxFile {
		return bad()
	}
	h, rest := holding{n: int(n), all: b[0] == haveAll}, b[1+used:]
	if b[0] == haveSome {
		each := (h.n + 7) / 8
		if h.n > maxBits || len(rest) != 2*each {
			return bad()
		}
		h.have, h.coming, rest = rest[:each], rest[each:], nil
	}
	if b[0] > haveSome || len(rest) != 0 {
		return bad()
	}
	return h, nil
}

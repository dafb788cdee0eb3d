package chunker

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Chunk is one piece of a file: the name of its bytes, and how many they are.
type Chunk struct {
	ID   ID
	Size uint32
}

// Manifest is a file's content: its pieces in order. It holds no name, no time and no mode, so equal bytes cut
// in one class have equal manifests. An empty file has no chunks.
type Manifest struct {
	Class  Class
	Size   int64
	Chunks []Chunk
}

// ErrManifest is wrapped by each error of [DecodeManifest] that blames the bytes, as opposed to the getter.
var ErrManifest = errors.New("bad manifest")

// MaxFile is the biggest file in bytes that a manifest may describe.
const MaxFile = 1 << 50

const (
	pageChunks = 8192 // chunks of a block; more, and the root block lists pages
	pageIDs    = (MaxChunk - headMost) / len(ID{})
	chunkBytes = len(ID{}) + 4
	headMost   = 2 + 2*binary.MaxVarintLen64
)

// The first byte of a block says what it is, so none can be read as another.
const (
	kindWhole byte = 0x4d + iota // class, size, count, then the chunks
	kindRoot                     // class, size, count of chunks, then the ids of the pages
	kindPage                     // chunks, to the end of the block
)

// Root names the content: the id of the first block.
func (m Manifest) Root() ID {
	if len(m.Chunks) <= pageChunks {
		return Sum(m.whole())
	}
	return Sum(m.Blocks()[0])
}

// Blocks is the encoding of m, fresh slices that the caller owns. Up to 8192 chunks there is one block; beyond, the
// first lists the ids of the others, which hold 8192 chunks each. A manifest has one encoding only.
func (m Manifest) Blocks() [][]byte {
	if len(m.Chunks) <= pageChunks {
		return [][]byte{m.whole()}
	}
	root := m.head(kindRoot, len(ID{})*(len(m.Chunks)/pageChunks+1))
	blocks := [][]byte{nil}
	for rest := m.Chunks; len(rest) > 0; {
		n := min(len(rest), pageChunks)
		page := appendChunks(append(make([]byte, 0, 1+n*chunkBytes), kindPage), rest[:n])
		id := Sum(page)
		root, blocks, rest = append(root, id[:]...), append(blocks, page), rest[n:]
	}
	blocks[0] = root
	return blocks
}

func (m Manifest) whole() []byte {
	return appendChunks(m.head(kindWhole, len(m.Chunks)*chunkBytes), m.Chunks)
}

// head begins a first block that will grow by more bytes.
func (m Manifest) head(kind byte, more int) []byte {
	b := append(make([]byte, 0, headMost+more), kind, byte(m.Class))
	b = binary.AppendUvarint(b, uint64(m.Size))
	return binary.AppendUvarint(b, uint64(len(m.Chunks)))
}

func appendChunks(b []byte, chunks []Chunk) []byte {
	for _, c := range chunks {
		b = append(b, c.ID[:]...)
		b = binary.BigEndian.AppendUint32(b, c.Size)
	}
	return b
}

// DecodeManifest reads the manifest that root names; get fetches a block by its id, and may return a slice that it
// keeps (it is neither changed nor held). Every hash, size and count is verified, and only the one encoding that
// [Manifest.Blocks] writes is accepted. Memory grows with what get returned, never with what a block claims. An error
// of get is wrapped; every other error wraps [ErrManifest].
func DecodeManifest(root ID, get func(ID) ([]byte, error)) (Manifest, error) {
	b, err := fetch(root, get)
	if err != nil {
		return Manifest{}, err
	}
	kind, m, count, rest, err := decodeHead(b)
	if err != nil {
		return Manifest{}, err
	}
	if kind == kindWhole {
		m.Chunks, err = decodeWhole(m, count, rest)
	} else {
		m.Chunks, err = decodePages(m, count, rest, get)
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

func fetch(id ID, get func(ID) ([]byte, error)) ([]byte, error) {
	b, err := get(id)
	if err != nil {
		return nil, fmt.Errorf("get manifest block %v: %w", id, err)
	}
	if len(b) > MaxChunk {
		return nil, fmt.Errorf("%w: block %v has %d bytes", ErrManifest, id, len(b))
	}
	if Sum(b) != id {
		return nil, fmt.Errorf("%w: block %v has another hash", ErrManifest, id)
	}
	return b, nil
}

// decodeHead reads what a first block begins with, and bounds the count by what the size allows.
func decodeHead(b []byte) (kind byte, m Manifest, count int, rest []byte, err error) {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrManifest, what) }
	if len(b) < 2 || b[0] != kindWhole && b[0] != kindRoot {
		return 0, m, 0, nil, bad("not a first block")
	}
	m.Class = Class(b[1])
	if !m.Class.Valid() {
		return 0, m, 0, nil, bad("unknown class")
	}
	size, rest, ok := uvarint(b[2:])
	n, rest, ok2 := uvarint(rest)
	if !ok || !ok2 || size > MaxFile {
		return 0, m, 0, nil, bad("size or count out of range")
	}
	least, _, most := m.Class.Sizes()
	if n > size/uint64(least)+1 || n < (size+uint64(most)-1)/uint64(most) || size == 0 && n != 0 {
		return 0, m, 0, nil, bad("count does not fit the size")
	}
	m.Size = int64(size)
	return b[0], m, int(n), rest, nil
}

// uvarint reads the shortest spelling of a number, and refuses every longer one.
func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func decodeWhole(m Manifest, count int, b []byte) ([]Chunk, error) {
	if count > pageChunks || len(b) != count*chunkBytes {
		return nil, fmt.Errorf("%w: %d bytes for %d chunks", ErrManifest, len(b), count)
	}
	return decodeChunks(nil, b), nil
}

func decodePages(m Manifest, count int, b []byte, get func(ID) ([]byte, error)) ([]Chunk, error) {
	pages := (count + pageChunks - 1) / pageChunks
	if count <= pageChunks || pages > pageIDs || len(b) != pages*len(ID{}) {
		return nil, fmt.Errorf("%w: %d bytes of pages for %d chunks", ErrManifest, len(b), count)
	}
	var chunks []Chunk
	for ; len(b) > 0; b = b[len(ID{}):] {
		page, err := fetch(ID(b[:len(ID{})]), get)
		if err != nil {
			return nil, err
		}
		n := min(pageChunks, count-len(chunks))
		if len(page) != 1+n*chunkBytes || page[0] != kindPage {
			return nil, fmt.Errorf("%w: a page is not %d chunks", ErrManifest, n)
		}
		chunks = decodeChunks(chunks, page[1:])
	}
	return chunks, nil
}

// decodeChunks appends the chunks in b, whose length is a whole number of them.
func decodeChunks(chunks []Chunk, b []byte) []Chunk {
	for ; len(b) > 0; b = b[chunkBytes:] {
		chunks = append(chunks, Chunk{ID: ID(b[:len(ID{})]), Size: binary.BigEndian.Uint32(b[len(ID{}):])})
	}
	return chunks
}

// check holds the sizes against the class: only the last chunk may be short, none too long, the sum exact.
func (m Manifest) check() error {
	least, _, most := m.Class.Sizes()
	var sum int64
	for i, c := range m.Chunks {
		if c.Size == 0 || int64(c.Size) > int64(most) || int64(c.Size) < int64(least) && i < len(m.Chunks)-1 {
			return fmt.Errorf("%w: chunk %d has %d bytes", ErrManifest, i, c.Size)
		}
		sum += int64(c.Size)
	}
	if sum != m.Size {
		return fmt.Errorf("%w: chunks sum to %d bytes of %d", ErrManifest, sum, m.Size)
	}
	return nil
}

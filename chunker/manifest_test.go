package chunker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"pgregory.net/rapid"
)

// blocks is a place where DecodeManifest finds its blocks.
type blocks map[chunker.ID][]byte

var errNoBlock = errors.New("no such block")

func (s blocks) get(id chunker.ID) ([]byte, error) {
	b, ok := s[id]
	if !ok {
		return nil, errNoBlock
	}
	return b, nil
}

func (s blocks) put(bs ...[]byte) (first chunker.ID) {
	for _, b := range bs {
		s[chunker.Sum(b)] = b
	}
	return chunker.Sum(bs[0])
}

// drawn is a manifest of n chunks of legal sizes.
func drawn(class chunker.Class, n int, seed string) chunker.Manifest {
	least, _, most := class.Sizes()
	rnd := noise(seed, 4*n+1)
	m := chunker.Manifest{Class: class}
	for i := range n {
		size := uint32(least) + binary.LittleEndian.Uint32(rnd[4*i:])%uint32(most-least+1)
		if i == n-1 {
			size = 1 + size%uint32(most)
		}
		m.Chunks = append(m.Chunks, chunker.Chunk{ID: chunker.Sum(rnd[4*i : 4*i+4]), Size: size})
		m.Size += int64(size)
	}
	return m
}

func TestManifestComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 2, 9, 100, 101, 102, 103, 104, 105, 106, 107, 108, 8191, 8192, 8193, 16384, 16385}).Draw(t, "chunks")
		m := drawn(chunker.Class(rapid.IntRange(0, 2).Draw(t, "class")), n, rapid.String().Draw(t, "seed"))
		bs, s := m.Blocks(), blocks{}
		want := 1
		if n > 8192 {
			want = 1 + (n+8191)/8192
		}
		if len(bs) != want {
			t.Errorf("%d chunks make %d blocks, want %d", n, len(bs), want)
		}
		root := s.put(bs...)
		if root != m.Root() {
			t.Errorf("Root = %v, want the id of the first block %v", m.Root(), root)
		}
		got, err := chunker.DecodeManifest(root, s.get)
		if err != nil {
			t.Fatalf("DecodeManifest: %v", err)
		}
		if got.Class != m.Class || got.Size != m.Size || !slices.Equal(got.Chunks, m.Chunks) {
			t.Errorf("DecodeManifest = %v, %d bytes, %d chunks; want %v, %d, %d",
				got.Class, got.Size, len(got.Chunks), m.Class, m.Size, len(m.Chunks))
		}
	})
}

func TestBlocksStayBelowTheLimit(t *testing.T) {
	for i, b := range drawn(chunker.Small, 50_000, "limit").Blocks() {
		if len(b) > chunker.MaxChunk {
			t.Errorf("block %d has %d bytes", i, len(b))
		}
	}
}

// Each byte of a manifest counts: none can be changed, added or cut off unnoticed, even by one who can recompute hashes.
func TestEveryOtherEncodingIsRefused(t *testing.T) {
	m := drawn(chunker.Small, 3, "strict")
	b := m.Blocks()[0]
	for cutAt := range b {
		s := blocks{}
		if _, err := chunker.DecodeManifest(s.put(b[:cutAt]), s.get); !errors.Is(err, chunker.ErrManifest) {
			t.Errorf("the first %d bytes: %v, want ErrManifest", cutAt, err)
		}
	}
	for name, c := range map[string][]byte{
		"a byte more":      append(slices.Clone(b), 0),
		"a page as a root": append([]byte{0x4f}, b[1:]...),
		"an unknown class": append([]byte{b[0], 3}, b[2:]...),
		"a long size":      slices.Concat([]byte{b[0], 0, 0x80, 0}, []byte{0}),
		"size, no chunk":   {b[0], 0, 1, 0},
		"chunk, no size":   slices.Concat([]byte{b[0], 0, 0, 1}, make([]byte, 36)),
		"an endless file":  slices.Concat([]byte{b[0], 2}, binary.AppendUvarint(nil, 1<<62), []byte{1}),
		"countless chunks": slices.Concat([]byte{b[0] + 1, 2}, binary.AppendUvarint(nil, 1<<50), binary.AppendUvarint(nil, 1<<40)),
	} {
		s := blocks{}
		if _, err := chunker.DecodeManifest(s.put(c), s.get); !errors.Is(err, chunker.ErrManifest) {
			t.Errorf("%s: %v, want ErrManifest", name, err)
		}
	}
}

func TestWrongSizesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*chunker.Manifest){
		"sum too big":         func(m *chunker.Manifest) { m.Size++ },
		"empty chunk":         func(m *chunker.Manifest) { m.Size -= int64(m.Chunks[2].Size); m.Chunks[2].Size = 0 },
		"short chunk inside":  func(m *chunker.Manifest) { m.Size -= int64(m.Chunks[1].Size) - 1; m.Chunks[1].Size = 1 },
		"chunk above the max": func(m *chunker.Manifest) { m.Chunks[0].Size += 1 << 20; m.Size += 1 << 20 },
		"sizes that wrap":     func(m *chunker.Manifest) { m.Chunks[0].Size = 1<<32 - 1; m.Size = 1 << 20 },
		"paged too early": func(m *chunker.Manifest) {
			*m = drawn(chunker.Small, 8193, "early")
			m.Size -= int64(m.Chunks[8192].Size)
		},
	} {
		m := drawn(chunker.Small, 3, "sizes")
		change(&m)
		s := blocks{}
		if _, err := chunker.DecodeManifest(s.put(m.Blocks()...), s.get); !errors.Is(err, chunker.ErrManifest) {
			t.Errorf("%s: %v, want ErrManifest", name, err)
		}
	}
}

func TestLyingBlockIsRefused(t *testing.T) {
	m := drawn(chunker.Small, 20_000, "liar")
	for i, b := range m.Blocks() {
		s := blocks{}
		root := s.put(m.Blocks()...)
		s[chunker.Sum(b)] = append(slices.Clone(b[:len(b)-1]), b[len(b)-1]^1)
		if _, err := chunker.DecodeManifest(root, s.get); !errors.Is(err, chunker.ErrManifest) {
			t.Errorf("block %d changed: %v, want ErrManifest", i, err)
		}
		delete(s, chunker.Sum(b))
		if _, err := chunker.DecodeManifest(root, s.get); !errors.Is(err, errNoBlock) || errors.Is(err, chunker.ErrManifest) {
			t.Errorf("block %d missing: %v, want the getter's error alone", i, err)
		}
	}
}

func TestPagesOfTheWrongLengthAreRefused(t *testing.T) {
	m := drawn(chunker.Small, 20_000, "pages")
	bs := m.Blocks()
	s := blocks{}
	s.put(bs...)
	swapped := slices.Clone(bs[0]) // the short last page first
	ids := swapped[len(swapped)-96:]
	copy(ids, slices.Concat(ids[64:96], ids[:64]))
	if _, err := chunker.DecodeManifest(s.put(swapped), s.get); !errors.Is(err, chunker.ErrManifest) {
		t.Errorf("pages in another order: %v, want ErrManifest", err)
	}
}

func TestIDText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := chunker.Sum(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		s := id.String()
		if got, err := chunker.ParseID(s); err != nil || got != id || len(s) != 59 {
			t.Errorf("ParseID(%q) = %v, %v", s, got, err)
		}
		at := rapid.IntRange(0, len(s)-1).Draw(t, "at")
		bad := s[:at] + string(rapid.Byte().Draw(t, "byte")) + s[at+1:]
		if got, err := chunker.ParseID(bad); bad != s && err == nil && got == id {
			t.Errorf("ParseID(%q) = the id of %q", bad, s)
		} else if err != nil && !errors.Is(err, chunker.ErrID) {
			t.Errorf("ParseID(%q): %v, want ErrID", bad, err)
		}
	})
	for _, s := range []string{"", "b", "x", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"} { // the last is SHA-256
		if _, err := chunker.ParseID(s); !errors.Is(err, chunker.ErrID) {
			t.Errorf("ParseID(%q): %v, want ErrID", s, err)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		f.Add(drawn(chunker.Class(n%3), n, "fuzz").Blocks()[0], []byte{})
	}
	paged := drawn(chunker.Small, 8193, "fuzz").Blocks()
	page := chunker.Sum(paged[1])
	f.Add(paged[0], paged[2])
	f.Add([]byte{0x4e, 0, 0xff, 0xff, 0xff, 0x7f, 0xff, 0x7f}, []byte{0x4f})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := blocks{page: paged[1]}
		s.put(second)
		root := s.put(first)
		m, err := chunker.DecodeManifest(root, s.get)
		if err != nil {
			return
		}
		if back := m.Blocks()[0]; !bytes.Equal(back, first) {
			t.Errorf("%x decodes, and encodes as %x", first, back)
		}
	})
}

package swarm

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestHoldingComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := holding{n: rapid.IntRange(0, 100).Draw(t, "n"), all: rapid.Bool().Draw(t, "all")}
		h.all = h.all && h.n > 0
		bits := rapid.SliceOfN(rapid.Byte(), 0, 20) // also of the wrong length, as a careless source may give
		if !h.all && h.n > 0 && rapid.Bool().Draw(t, "some") {
			h.have, h.coming = bits.Draw(t, "have"), bits.Draw(t, "coming")
		}
		got, err := decodeHolding(h.encode())
		if err != nil {
			t.Fatalf("decodeHolding: %v", err)
		}
		for i := -1; i < h.n+20; i++ {
			inside := i >= 0 && i < h.n
			if got.has(i) != (inside && h.has(i)) || got.awaits(i) != (inside && h.awaits(i)) {
				t.Errorf("chunk %d of %d: has %v, awaits %v of %+v", i, h.n, got.has(i), got.awaits(i), h)
			}
		}
	})
}

func TestHugeBitmapFitsAReply(t *testing.T) {
	for _, n := range []int{maxBits, maxBits + 1, 1 << 40} {
		b := holding{n: n, have: []byte{1}}.encode()
		h, err := decodeHolding(b)
		if err != nil || len(b) > chunker.MaxChunk || h.n != n {
			t.Errorf("a bitmap of %d makes %d bytes, n = %d, %v", n, len(b), h.n, err)
		}
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	id := make([]byte, 32)
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"no ids":          {kindChunks},
		"no ids, plain":   {kindPlain},
		"an unknown kind": append([]byte{9}, id...),
		"open again":      append([]byte{kindOpen}, id...),
		"half an id":      append([]byte{kindChunks}, id[:16]...),
		"too many ids":    append([]byte{kindBlocks}, make([]byte, 32*(maxIDs+1))...),
	} {
		if _, _, err := decodeIDs(b); !errors.Is(err, errWire) {
			t.Errorf("%s: %v, want errWire", name, err)
		}
	}
	if _, err := decodeOpen(append([]byte{kindOpen}, make([]byte, 33)...)); !errors.Is(err, errWire) {
		t.Errorf("an opening frame that is too long: %v, want errWire", err)
	}
	for name, b := range map[string][headBytes]byte{
		"an unknown status":  {5, 0, 0, 0, 0},
		"a chunk too big":    {0, 0, 0x40, 0, 1},
		"missing with bytes": {1, 0, 0, 0, 1},
	} {
		if _, _, err := decodeHead(b); !errors.Is(err, errWire) {
			t.Errorf("%s: %v, want errWire", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"an unknown form":    {3, 0},
		"no number":          {haveSome},
		"bits too few":       {haveSome, 9, 1, 1, 1},
		"bits too many":      {haveSome, 9, 1, 1, 1, 1, 1},
		"bytes behind":       {haveAll, 9, 0},
		"chunks in millions": {haveSome, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if _, err := decodeHolding(b); !errors.Is(err, errWire) {
			t.Errorf("%s: %v, want errWire", name, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(appendOpen(nil, Pool{1}))
	f.Add(appendAsks(nil, kindChunks, []ask{{chunker.Sum(nil), kindChunks}, {kind: kindBlocks}}))
	f.Add(append([]byte{kindHave}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pool, err := decodeOpen(b); err == nil && !bytes.Equal(appendOpen(nil, pool), b) {
			t.Errorf("%x opens another pool than it says", b)
		}
		kind, ids, err := decodeIDs(b)
		if err == nil && !bytes.Equal(append([]byte{kind}, ids...), b) {
			t.Errorf("%x is read as %d %x", b, kind, ids)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	f.Add(holding{n: 9, have: []byte{1, 1}, coming: []byte{2}}.encode())
	f.Add(holding{n: 9, all: true}.encode())
	f.Add(holding{}.encode())
	f.Add(appendHead(nil, statusOK, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headBytes {
			if status, n, err := decodeHead([headBytes]byte(b)); err == nil && !bytes.Equal(appendHead(nil, status, n), b[:headBytes]) {
				t.Errorf("%x is read as %d %d", b[:headBytes], status, n)
			}
		}
		h, err := decodeHolding(b)
		if err != nil {
			return
		}
		again, err := decodeHolding(h.encode())
		if diff := cmp.Diff(h.n, again.n); err != nil || diff != "" || h.all != again.all {
			t.Errorf("%x: %+v, encoded and read again %+v, %v", b, h, again, err)
		}
		for i := range min(h.n, 1000) {
			if h.has(i) != again.has(i) || h.awaits(i) != again.awaits(i) {
				t.Errorf("%x: chunk %d changes", b, i)
			}
		}
	})
}

func TestMeterForgets(t *testing.T) {
	var m meter
	at := time.Unix(1000, 0)
	for i := range 10 {
		m.add(1000, at.Add(time.Duration(i)*time.Second))
	}
	now := at.Add(10 * time.Second)
	if got := m.rate(now); got != 1000 {
		t.Errorf("rate after 10 s of 1000 B/s = %v", got)
	}
	if got := m.rate(now.Add(5 * time.Second)); got != 0 {
		t.Errorf("rate after 5 s of silence = %v", got)
	}
	if m.total.Load() != 10_000 {
		t.Errorf("total = %d", m.total.Load())
	}
}

package chunker_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew: a change of format")

// vectors is what other implementations can be held to. Ids are hex.
type vectors struct {
	Note  string   `json:"note"`
	Gear  string   `json:"gear_blake3"` // BLAKE3 of the gear table, 256 little-endian words
	Cases []vector `json:"cases"`
}

type vector struct {
	Name  string       `json:"name"`
	Parts []vectorPart `json:"input"`
	Class string       `json:"class"`
	Size  int64        `json:"size"`
	Root  string       `json:"root"`
	Cuts  []vectorCut  `json:"chunks"`
}

type vectorPart struct {
	Seed  string `json:"seed,omitempty"` // the first Bytes bytes of the BLAKE3 output stream of this string
	Hex   string `json:"hex,omitempty"`  // else this byte, Bytes times
	Bytes int    `json:"bytes"`
}

type vectorCut struct {
	End int64  `json:"end"`
	ID  string `json:"id"`
}

func (v vector) input(t *testing.T) (b []byte) {
	for _, p := range v.Parts {
		part := make([]byte, p.Bytes)
		if p.Hex == "" {
			h := blake3.New()
			_, _ = h.WriteString(p.Seed) // never fails
			_, _ = h.Digest().Read(part) // never ends
		} else {
			one, err := hex.DecodeString(p.Hex)
			if err != nil || len(one) != 1 {
				t.Fatalf("%s: hex %q is not one byte", v.Name, p.Hex)
			}
			part = bytes.Repeat(one, p.Bytes)
		}
		b = append(b, part...)
	}
	return b
}

// filled is v with what this implementation makes of its input.
func (v vector) filled(t *testing.T) vector {
	class := map[string]chunker.Class{"small": chunker.Small, "medium": chunker.Medium, "large": chunker.Large}[v.Class]
	m := cut(t, v.input(t), class, 1)
	root := m.Root()
	v.Size, v.Root, v.Cuts = m.Size, hex.EncodeToString(root[:]), []vectorCut{}
	at := int64(0)
	for _, c := range m.Chunks {
		at += int64(c.Size)
		v.Cuts = append(v.Cuts, vectorCut{at, hex.EncodeToString(c.ID[:])})
	}
	return v
}

func TestVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	got := want
	got.Gear, got.Cases = chunker.GearHash(), nil
	for _, v := range want.Cases {
		got.Cases = append(got.Cases, v.filled(t))
	}
	if *update {
		writeVectors(t, file, got)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
	if len(want.Cases) < 8 || strings.TrimSpace(want.Note) == "" {
		t.Errorf("%s has %d cases", file, len(want.Cases))
	}
}

func writeVectors(t *testing.T, file string, v vectors) {
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

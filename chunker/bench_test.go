package chunker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/zeebo/blake3"
)

// bigFile is a file of noise that lies in the page cache.
func bigFile(b *testing.B, size int) *os.File {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "big"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() }) // only read from here on
	for i := range size >> 26 {
		if _, err := f.Write(noise(fmt.Sprint("big", i), 1<<26)); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

// BenchmarkFile compares Cut of a page-cached 2 GiB file with reading it and taking one hash on one thread.
func BenchmarkFile(b *testing.B) {
	const size = 2 << 30
	f := bigFile(b, size)
	b.Run("read+blake3", func(b *testing.B) {
		b.SetBytes(size)
		buf := make([]byte, 256<<10)
		for b.Loop() {
			h := blake3.New()
			for at := int64(0); at < size; at += int64(len(buf)) {
				if _, err := f.ReadAt(buf, at); err != nil {
					b.Fatal(err)
				}
				_, _ = h.Write(buf) // never fails
			}
		}
	})
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("cut/workers=%d", workers), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := chunker.Cut(b.Context(), f, size, chunker.ClassFor(size), workers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	data := noise("next", 64<<20)
	for _, c := range []chunker.Class{chunker.Small, chunker.Medium, chunker.Large} {
		r := chunker.RuleOf(c)
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				for rest := data; len(rest) > 0; {
					rest = rest[r.Next(rest, len(rest)):]
				}
			}
		})
	}
}

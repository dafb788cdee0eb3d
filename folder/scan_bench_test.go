//go:build unix

package folder_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// BenchmarkRescan scans 200,000 unchanged files, and compares with find -printf on the same tree.
func BenchmarkRescan(b *testing.B) {
	g := newGround(b)
	bigTree(b, g.dir, 2000, 100)
	g.settle()
	g.ix.Dir = g.plain()
	start := time.Now()
	find := exec.CommandContext(b.Context(), "find", g.dir, "-printf", "%s %T@ %p\n")
	if err := find.Run(); err != nil {
		b.Skipf("no find to compare with: %v", err)
	}
	theirs := time.Since(start)
	for b.Loop() {
		if seen, _ := g.scan(); len(seen) > 0 {
			b.Fatalf("%d seen", len(seen))
		}
	}
	ours := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(202_000/ours.Seconds(), "entries/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "×find")
}

// plain is Index.Dir as the store answers it: no lock, about a microsecond a row.
func (g *ground) plain() func(event.Path, func(string, folder.Known) bool) error {
	return func(dir event.Path, yield func(string, folder.Known) bool) error {
		for _, name := range g.kids[dir] {
			at := time.Now()
			k := g.rows[dir.Join(name)]
			for time.Since(at) < time.Microsecond {
			}
			if !yield(name, k) {
				break
			}
		}
		return nil
	}
}

// BenchmarkScanBigFile scans one file of 1 GiB that lies in the page cache, and compares with reading and hashing it on
// one thread.
func BenchmarkScanBigFile(b *testing.B) {
	const size = 1 << 30
	g := newGround(b)
	block := make([]byte, 64<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(block)
	f, err := os.Create(g.path("big"))
	must(b, err)
	for i := range size / len(block) {
		block[0] = byte(i)
		_, err := f.Write(block)
		must(b, err)
	}
	must(b, f.Close())
	b.SetBytes(size)
	var theirs time.Duration
	for b.Loop() {
		b.StopTimer()
		theirs += readAndHash(b, g.path("big")) // side by side, so that other work on the machine slows both
		b.StartTimer()
		if seen, _ := g.scan(); len(seen) != 1 {
			b.Fatalf("%d seen", len(seen))
		}
	}
	b.ReportMetric(theirs.Seconds()/b.Elapsed().Seconds(), "×read+hash")
}

func readAndHash(b *testing.B, path string) time.Duration {
	start := time.Now()
	f, err := os.Open(path)
	must(b, err)
	defer f.Close()
	h, buf := blake3.New(), make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		_, _ = h.Write(buf[:n])
		if err != nil {
			return time.Since(start)
		}
	}
}

// BenchmarkFirstScan indexes 10,000 files of 4 KiB.
func BenchmarkFirstScan(b *testing.B) {
	g := newGround(b)
	bigTree(b, g.dir, 100, 100)
	for i := range 100 {
		for j := range 100 {
			g.write(fmt.Sprintf("d%d/f%d", i, j), string(bytes.Repeat([]byte{byte(i), byte(j)}, 2048)))
		}
	}
	for b.Loop() {
		if seen, _ := g.scan(); len(seen) != 10_100 {
			b.Fatalf("%d seen", len(seen))
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

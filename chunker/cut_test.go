package chunker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"pgregory.net/rapid"
)

// noise is n bytes that depend on the seed alone.
func noise(seed string, n int) []byte {
	var key [32]byte
	copy(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func cut(t testing.TB, b []byte, c chunker.Class, workers int) chunker.Manifest {
	t.Helper()
	m, err := chunker.Cut(t.Context(), bytes.NewReader(b), int64(len(b)), c, workers)
	if err != nil {
		t.Fatalf("Cut of %d bytes: %v", len(b), err)
	}
	return m
}

func TestChunksAreTheBytes(t *testing.T) {
	for _, n := range []int{0, 1, 4096, 16 << 10, 16<<10 + 1, 300_000, 5 << 20} {
		b := noise("whole", n)
		m := cut(t, b, chunker.Small, 1)
		least, _, most := m.Class.Sizes()
		for i, c := range m.Chunks {
			if chunker.Sum(b[:c.Size]) != c.ID {
				t.Fatalf("%d bytes: chunk %d has another hash", n, i)
			}
			if int(c.Size) > most || int(c.Size) < least && i < len(m.Chunks)-1 {
				t.Errorf("%d bytes: chunk %d has %d bytes", n, i, c.Size)
			}
			b = b[c.Size:]
		}
		if len(b) != 0 || m.Size != int64(n) {
			t.Errorf("%d bytes: %d left, size %d", n, len(b), m.Size)
		}
	}
}

// Every input here is cut in several ranges, which must leave no trace.
func TestWorkersLeaveNoTrace(t *testing.T) {
	periodic := bytes.Repeat(noise("period", 100_003), 400) // cuts of two ranges need never meet
	inputs := map[string][]byte{
		"noise":                noise("ranges", 40<<20+12345),
		"zeros":                make([]byte, 33<<20),
		"zeros but one byte":   append(append(make([]byte, 9<<20+1), 1), make([]byte, 31<<20)...),
		"odd period":           periodic,
		"noise, zeros, noise":  slices.Concat(noise("a", 7<<20), make([]byte, 20<<20+1), noise("b", 9<<20)),
		"a range and one byte": noise("edge", 16<<20+1),
		"exactly two ranges":   noise("edge", 16<<20),
	}
	classes, teams := []chunker.Class{chunker.Small, chunker.Medium, chunker.Large}, []int{2, 5}
	if raced { // thirty times as slow, and all classes run the same code
		classes, teams = classes[:1], teams[1:]
	}
	for name, b := range inputs {
		for _, c := range classes {
			want := cut(t, b, c, 1)
			for _, workers := range teams {
				if got := cut(t, b, c, workers); !slices.Equal(got.Chunks, want.Chunks) {
					t.Errorf("%s, %v, %d workers: %d chunks unlike the %d of one worker", name, c, workers, len(got.Chunks), len(want.Chunks))
				}
			}
		}
	}
}

// slow is the definition that the fast loop must equal: one byte a step, no table but the first.
func TestFastLoopEqualsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := chunker.RuleOf(chunker.Class(rapid.IntRange(0, 2).Draw(t, "class")))
		b := noise(rapid.String().Draw(t, "seed"), rapid.IntRange(0, 3<<20).Draw(t, "size"))
		if from := rapid.IntRange(0, len(b)).Draw(t, "zeros from"); rapid.Bool().Draw(t, "with zeros") {
			clear(b[from:])
		}
		for len(b) > 0 {
			got, want := r.Next(b, rapid.IntRange(1, 1<<20).Draw(t, "pieces")), r.Slow(b)
			if got != want {
				t.Fatalf("next = %d, want %d of %d bytes", got, want, len(b))
			}
			b = b[got:]
		}
	})
}

// sent is how many bytes of m are in no chunk of old.
func sent(old, m chunker.Manifest) (n int64) {
	have := map[chunker.ID]bool{}
	for _, c := range old.Chunks {
		have[c.ID] = true
	}
	for _, c := range m.Chunks {
		if !have[c.ID] {
			n += int64(c.Size)
		}
	}
	return n
}

func TestByteInFrontSendsLittle(t *testing.T) {
	const size = 64 << 20
	b := append([]byte{'x'}, noise("front", size)...)
	old := cut(t, b[1:], chunker.ClassFor(size), 0)
	now := cut(t, b, old.Class.Keep(int64(len(b))), 0)
	if n := sent(old, now); n*1000 > size*5 {
		t.Errorf("a byte in front of %d sends %d, over 0.5 %%", size, n)
	}
}

func TestEditsStayLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := noise(rapid.String().Draw(t, "seed"), 4<<20)
		at := rapid.IntRange(0, len(b)).Draw(t, "at")
		del := rapid.IntRange(0, min(1000, len(b)-at)).Draw(t, "deleted")
		ins := rapid.SliceOfN(rapid.Byte(), 0, 1000).Draw(t, "inserted")
		now := slices.Concat(b[:at], ins, b[at+del:])
		one := func(b []byte) chunker.Manifest {
			m, err := chunker.Cut(context.Background(), bytes.NewReader(b), int64(len(b)), chunker.Small, 1)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		if n := sent(one(b), one(now)); n > 1<<20 {
			t.Errorf("an edit of %d/%d bytes at %d sends %d of 4 MiB", del, len(ins), at, n)
		}
	})
}

func TestMeanChunkIsNearTheAverage(t *testing.T) {
	for c, size := range map[chunker.Class]int{chunker.Small: 32 << 20, chunker.Medium: 96 << 20, chunker.Large: 256 << 20} {
		if testing.Short() && c == chunker.Large {
			continue
		}
		_, avg, _ := c.Sizes()
		m := cut(t, noise("mean", size), c, 0)
		if mean := float64(size) / float64(len(m.Chunks)); mean < 1.05*float64(avg) || mean > 1.25*float64(avg) {
			t.Errorf("%v: mean chunk %.0f, want about 1.14 × %d", c, mean, avg)
		}
	}
}

// shrunk is a file that got shorter after its size was taken.
type shrunk struct{ io.ReaderAt }

func (s shrunk) ReadAt(p []byte, off int64) (int, error) {
	n, _ := s.ReaderAt.ReadAt(p, off)
	return n, nil // short without a word, as a careless ReaderAt does
}

func TestEarlyEndIsAnError(t *testing.T) {
	for _, n := range []int{0, 1, 5000, 20 << 20} {
		b := noise("short", n)
		for _, workers := range []int{1, 4} {
			for name, r := range map[string]io.ReaderAt{"EOF": bytes.NewReader(b), "silent": shrunk{bytes.NewReader(b)}} {
				_, err := chunker.Cut(t.Context(), r, int64(n+1), chunker.Small, workers)
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s: Cut of %d bytes that end one early = %v, want ErrUnexpectedEOF", name, n+1, err)
				}
			}
		}
	}
}

var errDisk = errors.New("disk on fire")

type broken struct{ at int64 }

func (r broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > r.at {
		return 0, errDisk
	}
	return len(p), nil
}

func TestReadErrorIsKept(t *testing.T) {
	for _, workers := range []int{1, 4} {
		if _, err := chunker.Cut(t.Context(), broken{20 << 20}, 40<<20, chunker.Small, workers); !errors.Is(err, errDisk) {
			t.Errorf("%d workers: %v, want %v", workers, err, errDisk)
		}
	}
}

func TestCutStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, workers := range []int{1, 4} {
		if _, err := chunker.Cut(ctx, broken{1 << 40}, 1<<35, chunker.Large, workers); !errors.Is(err, context.Canceled) {
			t.Errorf("%d workers: %v, want Canceled", workers, err)
		}
	}
}

func TestCutRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		size  int64
		class chunker.Class
	}{{-1, chunker.Small}, {chunker.MaxFile + 1, chunker.Large}, {1, 3}} {
		if _, err := chunker.Cut(t.Context(), bytes.NewReader([]byte{1}), c.size, c.class, 1); err == nil {
			t.Errorf("Cut(%d, %v) gave no error", c.size, c.class)
		}
	}
}

func TestSmallFileIsCheap(t *testing.T) {
	r := bytes.NewReader(noise("small", 4096))
	before := runtime.NumGoroutine()
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := chunker.Cut(b.Context(), r, 4096, chunker.Small, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	if !raced && (got.AllocsPerOp() > 6 || got.AllocedBytesPerOp() > 1024) {
		t.Errorf("Cut of 4 KiB costs %d allocations of %d bytes", got.AllocsPerOp(), got.AllocedBytesPerOp())
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) { // the benchmark's own take a moment to end
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}

func TestNoAllocationPerChunk(t *testing.T) {
	b := noise("allocs", 15<<20) // one worker, over 200 chunks
	r := bytes.NewReader(b)
	if n := testing.AllocsPerRun(5, func() { cut(t, b, chunker.Small, 1); r.Reset(b) }); n > 12 {
		t.Errorf("Cut of 200 chunks allocates %v times", n)
	}
}

func TestClassKeepsItsFile(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		class chunker.Class
		size  int64
		want  chunker.Class
	}{
		{chunker.Small, 256*mib + 1, chunker.Small},
		{chunker.Small, 1024 * mib, chunker.Small},
		{chunker.Small, 1024*mib + 1, chunker.Medium},
		{chunker.Small, 20 << 30, chunker.Large},
		{chunker.Medium, 64 * mib, chunker.Medium},
		{chunker.Medium, 64*mib - 1, chunker.Small},
		{chunker.Medium, 16 << 30, chunker.Medium},
		{chunker.Medium, 16<<30 + 1, chunker.Large},
		{chunker.Large, 1 << 30, chunker.Large},
		{chunker.Large, 1<<30 - 1, chunker.Medium},
		{chunker.Large, 1, chunker.Small},
		{chunker.Class(9), 5 << 30, chunker.Large},
	} {
		if got := c.class.Keep(c.size); got != c.want {
			t.Errorf("%v.Keep(%d) = %v, want %v", c.class, c.size, got, c.want)
		}
	}
	for size, want := range map[int64]chunker.Class{
		0: chunker.Small, 256 * mib: chunker.Small, 256*mib + 1: chunker.Medium,
		4 << 30: chunker.Medium, 4<<30 + 1: chunker.Large,
	} {
		if got := chunker.ClassFor(size); got != want {
			t.Errorf("ClassFor(%d) = %v, want %v", size, got, want)
		}
	}
}

func ExampleCut() {
	text := []byte("hello, meerkat\n")
	m, err := chunker.Cut(context.Background(), bytes.NewReader(text), int64(len(text)), chunker.Small, 1)
	fmt.Println(m.Chunks[0].Size, m.Chunks[0].ID, err)
	// Output: 15 bafkr4iacio6guved3gzvhb32nmj4qfb4uwfn4meor5da55b3u77vwpcf3m <nil>
}

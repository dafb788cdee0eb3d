package bench

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestShapedLinks carries a file over wires as people have them, and over the
// same wire a bare libp2p stream.
func TestShapedLinks(t *testing.T) {
	const mbit = 1_000_000
	for _, w := range []struct {
		name  string
		wire  lab.Wire
		size  int64
		share bar // of the line rate
		raw   bar // of the bare stream
	}{
		{"100 Mbit/s, 20 ms each way", lab.Wire{RTT: 40 * time.Millisecond, Rate: 100 * mbit}, 100 << 20, atLeast(0.81, "%.2f of line"), atLeast(0.9, "%.1f × raw")},
		{"10 Mbit/s, 40 ms each way", lab.Wire{RTT: 80 * time.Millisecond, Rate: 10 * mbit}, 20 << 20, atLeast(0.81, "%.2f of line"), atLeast(0.9, "%.1f × raw")},
		{"1 Gbit/s, 50 ms each way", lab.Wire{RTT: 100 * time.Millisecond, Rate: 1000 * mbit}, 512 << 20, bar{}, atLeast(0.7, "%.1f × raw")},
	} {
		t.Run(w.name, func(t *testing.T) {
			l := lab.New(t, "a", "b")
			a, b := l.Hosts[0], l.Hosts[1]
			b.Wired(w.wire)
			l.Pool(a, b)
			noise(t, beside(a, "big"), w.size)
			raw, _ := rawStream(t, a, b, w.size)
			before, start := spent(t, a, b), time.Now()
			a.OK(os.Rename(beside(a, "big"), a.Path("big")))
			took := visible(t, b.Path("big"), w.size, 4*time.Minute).Sub(start)
			use := spent(t, a, b).since(before)
			rate := func(d time.Duration) float64 { return float64(w.size) * 8 / d.Seconds() / mbit }
			line := float64(w.wire.Rate) / mbit
			name := fmt.Sprintf("%d MiB over %s", w.size>>20, w.name)
			addRatio(name+", save to visible", "%.1f Mbit/s", rate(took), line, "line", w.share)
			addRatio("  beside a bare stream", "%.1f Mbit/s", rate(took), rate(raw), "raw libp2p", w.raw)
			add("  wire / payload", "%.4f", float64(use.wire)/float64(w.size), "", "", bar{})
			l.Equal(a, b)
		})
	}
}

// TestBusy saves small files, one a second, while a big one is on its way.
func TestBusy(t *testing.T) {
	const mbit = 1_000_000
	for _, w := range []struct {
		name string
		wire lab.Wire
		size int64
	}{
		{"10 Mbit/s, 40 ms each way", lab.Wire{RTT: 80 * time.Millisecond, Rate: 10 * mbit}, 30 << 20},
		{"100 Mbit/s, 20 ms each way", lab.Wire{RTT: 40 * time.Millisecond, Rate: 100 * mbit}, 300 << 20},
	} {
		t.Run(w.name, func(t *testing.T) {
			l := lab.New(t, "a", "b")
			a, b := l.Hosts[0], l.Hosts[1]
			b.Wired(w.wire)
			l.Pool(a, b)
			noise(t, beside(a, "big"), w.size)
			a.OK(os.Rename(beside(a, "big"), a.Path("big")))
			took := whileBusy(t, a, b, w.size)
			latency("small file saved during a big transfer, "+w.name, took, atMost(1000, "%.0f ms"), atMost(1000, "%.0f ms"))
			l.Equal(a, b)
		})
	}
	t.Run("many small files", func(t *testing.T) {
		l := lab.New(t, "a", "b")
		a, b := l.Hosts[0], l.Hosts[1]
		b.Wired(lab.Wire{RTT: 40 * time.Millisecond, Rate: 100 * mbit})
		l.Pool(a, b)
		smallTree(t, beside(a, "tree"), 0, 30_000)
		a.OK(os.Rename(beside(a, "tree"), a.Path("tree")))
		took := whileBusy(t, a, b, 0)
		latency("the same, while 30,000 files come over 100 Mbit/s", took, bar{}, atMost(5000, "%.0f ms"))
		l.EqualWithin(2*time.Minute, a, b)
	})
}

// TestSaveDuringScan saves small files while a very large one, which is a hole,
// is read.
func TestSaveDuringScan(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	a.Write("before", "the folders are equal")
	l.Equal(a, b)
	const size = 12 << 30
	f, err := os.Create(beside(a, "big"))
	a.OK(err)
	a.OK(f.Truncate(size))
	a.OK(f.Close())
	a.OK(os.Rename(beside(a, "big"), a.Path("big")))
	time.Sleep(time.Second)
	var took []time.Duration
	for i := 0; pool(t, a).Bytes < size; i++ {
		name, n := fmt.Sprintf("note%d", i), int64(1000+i)
		start := time.Now()
		a.OK(os.WriteFile(a.Path(name), lab.Noise(uint64(i), int(n)), 0o644))
		took = append(took, visible(t, b.Path(name), n, 2*time.Minute).Sub(start))
		time.Sleep(max(0, time.Second-time.Since(start)))
	}
	latency("small file saved while 12 GiB are read", took, bar{}, atMost(1000, "%.0f ms"))
}

// whileBusy saves a small file on a every second, until b has size bytes as
// "big", or wants little of what was to come; it says how long each took to
// arrive.
func whileBusy(t *testing.T, a, b *lab.Host, size int64) (took []time.Duration) {
	t.Helper()
	if size == 0 {
		until(t, "it begins", time.Minute, 10*time.Millisecond, func() bool { return pool(t, b).WantedHere.Files > 1000 })
	}
	time.Sleep(2 * time.Second) // the transfer is in full swing
	busy := func() bool {
		if size == 0 {
			return pool(t, b).WantedHere.Files > 1000
		}
		return !b.Exists("big")
	}
	for i := 0; busy(); i++ {
		name, n := fmt.Sprintf("note%d", i), int64(1000+i)
		start := time.Now()
		a.OK(os.WriteFile(a.Path(name), lab.Noise(uint64(i), int(n)), 0o644))
		took = append(took, visible(t, b.Path(name), n, 2*time.Minute).Sub(start))
		time.Sleep(max(0, time.Second-time.Since(start)))
	}
	return took
}

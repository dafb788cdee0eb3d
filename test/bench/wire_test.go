package bench

import (
	"fmt"
	"os"
	"os/exec"
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
			a.Write("work/first", "the directory is there")
			l.Equal(a, b)
			noise(t, beside(a, "big"), w.size)
			a.OK(os.Rename(beside(a, "big"), a.Path("big")))
			took := whileBusy(t, a, b, func() bool { return !b.Exists("big") })
			latency("small file saved during a big transfer, "+w.name, took, atMost(1000, "%.0f ms"), atMost(1000, "%.0f ms"))
			l.Equal(a, b)
		})
	}
}

// TestBusyWithSmallFiles saves small files, one a second, while very many come
// from the same member or from another one.
func TestBusyWithSmallFiles(t *testing.T) {
	const files = 30_000
	wire := lab.Wire{RTT: 40 * time.Millisecond, Rate: 100_000_000}
	for _, f := range []struct {
		name string
		from string // where they are written
		put  []string
	}{
		{"moved in", "a", []string{"mv"}},
		{"copied in", "a", []string{"cp", "-a"}},
		{"moved in elsewhere", "c", []string{"mv"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			l := lab.New(t, "a", "b", "c")
			hosts := l.Hosts
			if f.from == "a" {
				hosts = hosts[:2]
			}
			a, b, from := hosts[0], hosts[1], hosts[len(hosts)-1]
			if f.from == "a" {
				from = a
			}
			for _, h := range hosts[1:] {
				h.Wired(wire)
			}
			l.Pool(hosts...)
			a.Write("work/first", "the directory is there")
			l.Equal(hosts...)
			smallTree(t, beside(from, "tree"), 0, files)
			put := exec.Command(f.put[0], append(f.put[1:], beside(from, "tree"), from.Path("tree"))...)
			start := time.Now()
			from.OK(put.Start())
			took := whileBusy(t, a, b, func() bool { p := pool(t, b); return p.Files < files || p.WantedHere.Files > 0 })
			all := time.Since(start)
			from.OK(put.Wait())
			latency(fmt.Sprintf("small file saved while %d others are %s", files, f.name), took, bar{}, atMost(5000, "%.0f ms"))
			add("  until those are there", "%.1f s", all.Seconds(), "", "", bar{})
			l.EqualWithin(2*time.Minute, hosts...)
		})
	}
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

// whileBusy saves a small file on a every second, as long as it is busy; it says
// how long each took to arrive on b.
func whileBusy(t *testing.T, a, b *lab.Host, busy func() bool) (took []time.Duration) {
	t.Helper()
	time.Sleep(2 * time.Second) // it is in full swing
	for i := 0; busy(); i++ {
		name, n := fmt.Sprintf("work/note%d", i), int64(1000+i)
		start := time.Now()
		a.OK(os.WriteFile(a.Path(name), lab.Noise(uint64(i), int(n)), 0o644))
		took = append(took, visible(t, b.Path(name), n, 2*time.Minute).Sub(start))
		time.Sleep(max(0, time.Second-time.Since(start)))
	}
	return took
}

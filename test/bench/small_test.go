package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/test/lab"
)

// TestSmallFiles goes on, with the files that it brought over, to a node at
// rest and to a member that was away.
func TestSmallFiles(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	const files = 10_000
	payload := smallTree(t, beside(a, "tree"), 0, files)
	stop := profile(t, "small", a, b)
	before, start := spent(t, a, b), time.Now()
	a.OK(os.Rename(beside(a, "tree"), a.Path("tree")))
	end := until(t, "10,000 files", 2*time.Minute, 100*time.Millisecond, func() bool {
		return pool(t, b).Files == files && settled(t, a, b)
	})
	use := spent(t, a, b).since(before)
	stop()
	rs, rsCPU := rsyncFrom(t, a, b, "tree")
	add("10,000 files of 1 to 16 KiB", "%.2f s", end.Sub(start).Seconds(), "", "", atMost(5, "%.0f s"))
	addRatio("  beside rsync", "%.2f s", end.Sub(start).Seconds(), rs.Seconds(), "rsync", atMost(5, "%.0f × rsync"))
	add("  wire / payload", "%.3f", float64(use.wire)/float64(payload), fmt.Sprintf("chunks %.3f", float64(chunksIn(t, b))/float64(payload)), "", atMost(1.15, "%.2f"))
	add("  CPU of both nodes", "%.2f s", use.cpu.Seconds(), fmt.Sprintf("rsync %.2f s", rsCPU.Seconds()),
		fmt.Sprintf("%.2f", use.cpu.Seconds()/rsCPU.Seconds()), bar{})
	l.Equal(a, b)
	idle(t, a, b)
	smallTree(t, beside(a, "tree"), files, files)
	a.OK(os.Rename(beside(a, "tree"), a.Path("more")))
	until(t, "20,000 files", 2*time.Minute, 20*time.Millisecond, func() bool {
		return pool(t, b).Files == 2*files && settled(t, a, b)
	})
	back(t, l, a, b)
}

// idle measures two nodes that have nothing to do.
func idle(t *testing.T, a, b *lab.Host) {
	t.Helper()
	const rest, watch = 15 * time.Second, 30 * time.Second
	time.Sleep(rest)
	before := spent(t, a, b)
	time.Sleep(watch)
	use := spent(t, a, b).since(before)
	_, nowA := rss(t, a)
	_, nowB := rss(t, b)
	peakA, _ := rss(t, a)
	peakB, _ := rss(t, b)
	add("idle with 10,000 files, resident memory", "%.0f MB", max(nowA, nowB),
		fmt.Sprintf("A %.0f, B %.0f (peaks %.0f, %.0f)", nowA, nowB, peakA, peakB), "", atMost(90, "%.0f MB"))
	minute := float64(time.Minute / watch)
	add("  traffic of both a minute", "%.1f kB", float64(use.wire)/1e3*minute,
		fmt.Sprintf("multicast %.1f kB", float64(use.cast)/1e3*minute), "", bar{})
	add("  CPU of both a minute", "%.2f s", use.cpu.Seconds()*minute, "", "", bar{})
}

// back measures a member that was away while the other changed ten files: once
// its node was down, once its link.
func back(t *testing.T, l *lab.Lab, a, b *lab.Host) {
	t.Helper()
	if code := b.Stop(); code != 0 {
		t.Fatalf("b: exit %d", code)
	}
	tenChanges(t, a, 1)
	wasA, castA := spentBy(t, a), multicast(t, a)
	link := make(chan time.Time, 1)
	go func() { link <- whenOnline(a, b.Name) }()
	b.Up()
	end := tenThere(t, b, 1)
	linked := <-link
	until(t, "both settle", 30*time.Second, 20*time.Millisecond, func() bool { return settled(t, a, b) })
	moved, cast := spentBy(t, a)-wasA, multicast(t, a)-castA
	add("back after 10 changes in 20,000 files, from the link on", "%.2f s", end.Sub(linked).Seconds(), "", "", atMost(1, "%.0f s"))
	add("  wire between the two, handshakes and all", "%.1f kB", float64(moved-cast)/1e3,
		fmt.Sprintf("multicast %.1f kB", float64(cast)/1e3), "", atMost(30, "%.0f kB"))

	l.Must("ip", "-n", b.NS, "link", "set", "eth0", "down")
	until(t, "the link is missed", 2*time.Minute, 20*time.Millisecond, func() bool { return !online(t, a, b.Name) && !online(t, b, a.Name) })
	tenChanges(t, a, 2)
	before, castBefore := spentBy(t, a), multicast(t, a)
	start := time.Now()
	l.Must("ip", "-n", b.NS, "link", "set", "eth0", "up")
	end = tenThere(t, b, 2)
	until(t, "both settle", 30*time.Second, 20*time.Millisecond, func() bool { return settled(t, a, b) })
	add("the same, nodes up, cable back in", "%.2f s", end.Sub(start).Seconds(),
		fmt.Sprintf("%.1f kB, multicast %.1f kB", float64(spentBy(t, a)-before)/1e3, float64(multicast(t, a)-castBefore)/1e3), "", bar{})
	l.Equal(a, b)
}

func spentBy(t *testing.T, h *lab.Host) int64 {
	t.Helper()
	in, out := wire(t, h)
	return in + out
}

func online(t *testing.T, h *lab.Host, name string) bool {
	t.Helper()
	for _, m := range pool(t, h).Members {
		if m.Name == name {
			return m.Online
		}
	}
	return false
}

// whenOnline polls h until it has a link to the member, for half a minute at
// most.
func whenOnline(h *lab.Host, name string) time.Time {
	c := control.NewClient(h.Home)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		m, err := c.Peer(context.Background(), "", name)
		if err == nil && m.Online {
			break
		}
	}
	return time.Now()
}

func tenChanges(t *testing.T, h *lab.Host, round int) {
	t.Helper()
	for i := range 10 {
		h.Write(fmt.Sprintf("tree/d%02d/f%05d", i, i), fmt.Sprintf("changed %d in round %d", i, round))
	}
	h.Cli("scan")
}

func tenThere(t *testing.T, h *lab.Host, round int) time.Time {
	t.Helper()
	return until(t, "ten changes", time.Minute, time.Millisecond, func() bool {
		for i := range 10 {
			if h.Read(fmt.Sprintf("tree/d%02d/f%05d", i, i)) != fmt.Sprintf("changed %d in round %d", i, round) {
				return false
			}
		}
		return true
	})
}

// smallTree makes n files in 100 directories; from tells their contents apart.
func smallTree(t *testing.T, dir string, from, n int) int64 {
	t.Helper()
	var total int64
	for i := range n {
		d := filepath.Join(dir, fmt.Sprintf("d%02d", i%100))
		if i < 100 {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		size := 1024 + (i*7919)%(15*1024)
		total += int64(size)
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("f%05d", i)), lab.Noise(uint64(from+i), size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return total
}

// TestLatency saves small files, one after the other, and waits for each to arrive.
func TestLatency(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	before := spent(t, a, b)
	took := saves(t, a, b, 100, 300*time.Millisecond, func(i int) string { return fmt.Sprintf("f%d", i) })
	use := spent(t, a, b).since(before)
	latency("small file saved, until it is on B", took, atMost(40, "%.0f ms"), atMost(500, "%.0f ms"))
	add("  for each: CPU of both", "%.1f ms", ms(use.cpu)/100, fmt.Sprintf("wire %.1f kB", float64(use.wire)/1e5), "", bar{})
	took = saves(t, a, b, 40, 300*time.Millisecond, func(i int) string {
		a.OK(os.MkdirAll(a.Path(fmt.Sprintf("new%d/deep", i)), 0o755))
		return fmt.Sprintf("new%d/deep/file", i)
	})
	latency("the same, in a new directory", took, atMost(60, "%.0f ms"), atMost(740, "%.0f ms"))
	took = saves(t, a, b, 40, time.Second, func(int) string { return "same" })
	latency("one file saved every second", took, atMost(40, "%.0f ms"), atMost(740, "%.0f ms"))
}

// saves writes n small files on a, each a little longer than the one before, and
// says how long each took to arrive on b.
func saves(t *testing.T, a, b *lab.Host, n int, pause time.Duration, name func(i int) string) (took []time.Duration) {
	t.Helper()
	for i := range n {
		name, size := name(i), 1000+i
		start := time.Now()
		a.OK(os.WriteFile(a.Path(name), lab.Noise(uint64(i), size), 0o644))
		took = append(took, visible(t, b.Path(name), int64(size), 30*time.Second).Sub(start))
		time.Sleep(max(0, pause-time.Since(start)))
	}
	return took
}

// latency appends the median and the hundredth-worst of what was measured.
func latency(work string, took []time.Duration, p50, p99 bar) {
	slices.Sort(took)
	n := len(took)
	if n == 0 {
		add(work+": nothing was measured", "%.0f", 0, "", "", bar{})
		return
	}
	add(work+": p50", "%.1f ms", ms(took[n/2]), fmt.Sprintf("least %.1f ms", ms(took[0])), fmt.Sprintf("of %d", n), p50)
	add("  p99", "%.1f ms", ms(took[(n-1)*99/100]), fmt.Sprintf("most %.1f ms", ms(took[n-1])), "", p99)
}

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestStart scans 20,000 files of 1 GiB in all, starts again with nothing
// changed, and scans again.
func TestStart(t *testing.T) {
	l := lab.New(t, "a")
	a := l.Hosts[0]
	const files, size = 20_000, 53_687
	for i := range files {
		d := a.Path(fmt.Sprintf("d%03d", i%200))
		if i < 200 {
			a.OK(os.MkdirAll(d, 0o755))
		}
		a.OK(os.WriteFile(filepath.Join(d, fmt.Sprintf("f%05d", i)), lab.Noise(uint64(i), size), 0o644))
	}
	a.Cli("init", a.Dir, "--name", "home")
	start := time.Now()
	a.Up()
	add("program started, until it serves", "%.0f ms", ms(time.Since(start)), "", "", bar{})
	stop := profile(t, "firstgib", a)
	end := until(t, "the first scan", 2*time.Minute, 10*time.Millisecond, func() bool {
		p := pool(t, a)
		return p.Files == files && p.State != "indexing"
	})
	stop()
	peak, _ := rss(t, a)
	add("first scan of 20,000 files, 1 GiB", "%.2f s", end.Sub(start).Seconds(), "Syncthing 9.5 to 10.5 s, 11.9 s of CPU", fmt.Sprintf("CPU %.2f s", cpu(t, a).Seconds()), atMost(9.5, "%.1f s"))
	add("  resident memory, peak", "%.0f MB", peak, "", "", bar{})
	time.Sleep(3 * time.Second) // nothing is racy any more
	a.Cli("scan")
	again(t, a, "20,000 files", files)
	took, find, _ := rescan(t, a)
	addRatio("rescan of 20,000 unchanged files", "%.3f s", took.Seconds(), find.Seconds(), "find -printf", atMost(2, "%.0f × find"))
}

// again starts the program anew with nothing changed.
func again(t *testing.T, h *lab.Host, what string, files int64) {
	t.Helper()
	if code := h.Stop(); code != 0 {
		t.Fatalf("exit %d", code)
	}
	start := time.Now()
	h.Up()
	up := time.Since(start)
	end := until(t, "the scan at the start", time.Minute, 5*time.Millisecond, func() bool {
		p := pool(t, h)
		return p.Files == files && p.State != "indexing"
	})
	add("start with nothing changed, "+what, "%.2f s", end.Sub(start).Seconds(), fmt.Sprintf("serves after %.0f ms", ms(up)), "", atMost(2.3, "%.1f s"))
}

// asked is how long the node took to answer each of n questions after its
// state, in order.
func asked(t *testing.T, h *lab.Host, n int) (took []time.Duration) {
	t.Helper()
	for range n {
		start := time.Now()
		pool(t, h)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took
}

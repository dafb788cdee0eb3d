package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestScanLargeFile scans a file that lies in the page cache, and reads and
// hashes the same on one thread.
func TestScanLargeFile(t *testing.T) {
	l := lab.New(t, "a")
	a := l.Hosts[0]
	a.Cli("init", a.Dir, "--name", "home")
	a.Up()
	const size = 2 << 30
	noise(t, beside(a, "big"), size)
	plain := readAndHash(t, beside(a, "big"))
	before, start := cpu(t, a), time.Now()
	a.OK(os.Rename(beside(a, "big"), a.Path("big")))
	end := until(t, "the scan", time.Minute, 5*time.Millisecond, func() bool { return pool(t, a).Bytes == size })
	use := cpu(t, a) - before
	took := end.Sub(start)
	plain = min(plain, readAndHash(t, a.Path("big")))
	addRatio("scan of a cached 2 GiB file", "%.0f MB/s", size/1e6/took.Seconds(), size/1e6/plain.Seconds(), "read + BLAKE3", atLeast(0.8, "%.1f ×"))
	add("  CPU", "%.2f s", use.Seconds(), fmt.Sprintf("%.2f s", plain.Seconds()), fmt.Sprintf("%.2f", use.Seconds()/plain.Seconds()), bar{})
}

func readAndHash(t *testing.T, path string) time.Duration {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start, h := time.Now(), blake3.New()
	if _, err := io.CopyBuffer(onlyWriter{h}, onlyReader{f}, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	h.Sum(nil)
	return time.Since(start)
}

// onlyReader hides the short cuts of files.
type onlyReader struct{ io.Reader }

// TestManyFiles is what 200,000 files ask for: a first scan, a rescan, a start,
// and memory.
func TestManyFiles(t *testing.T) {
	l := lab.New(t, "a")
	a := l.Hosts[0]
	const files = 200_000
	tiny(t, a.Dir, files)
	a.Cli("init", a.Dir, "--name", "home")
	start := time.Now()
	a.Up()
	stop := profile(t, "first", a)
	var took []time.Duration
	first := until(t, "the first scan", 5*time.Minute, 100*time.Millisecond, func() bool {
		asking := time.Now()
		p := pool(t, a)
		took = append(took, time.Since(asking))
		return p.Files == files
	})
	peak, _ := rss(t, a)
	add("first scan of 200,000 tiny files", "%.2f s", first.Sub(start).Seconds(), fmt.Sprintf("CPU %.2f s", cpu(t, a).Seconds()), fmt.Sprintf("peak %.0f MB", peak), bar{})
	stop()
	slices.Sort(took)
	add("  status meanwhile", "%.1f ms", ms(took[len(took)/2]), fmt.Sprintf("at worst %.1f ms", ms(took[len(took)-1])), "", atMost(100, "%.0f ms"))
	a.Cli("scan")
	scan, find, use := rescan(t, a)
	addRatio("rescan of 200,000 unchanged files", "%.0f files/s", files/scan.Seconds(), files/find.Seconds(), "find -printf", atLeast(0.5, "%.1f × find"))
	add("  CPU", "%.2f s", use.Seconds(), fmt.Sprintf("%.2f s", find.Seconds()), "", bar{})
	took = asked(t, a, 50)
	add("status with 200,000 files", "%.2f ms", ms(took[25]), fmt.Sprintf("at worst %.2f ms", ms(took[49])), "", atMost(20, "%.0f ms"))
	again(t, a, "200,000 files", files)
	time.Sleep(5 * time.Second)
	peak, now := rss(t, a)
	add("  resident memory after it", "%.0f MB", now, fmt.Sprintf("peak %.0f MB", peak), fmt.Sprintf("%.0f B a file", now*1e6/files), bar{})
	fi, err := os.Stat(lab.Program)
	a.OK(err)
	add("the program", "%.1f MB", float64(fi.Size())/1e6, "with symbols", "", bar{})
}

// rescan is the better of three rounds of each.
func rescan(t *testing.T, h *lab.Host) (took, find, use time.Duration) {
	t.Helper()
	took, find = time.Hour, time.Hour
	for range 3 {
		before, start := cpu(t, h), time.Now()
		h.Cli("scan")
		if d := time.Since(start); d < took {
			took, use = d, cpu(t, h)-before
		}
		start = time.Now()
		c := exec.Command("find", h.Dir, "-printf", `%p %i %s %T@ %C@ %m %y\n`)
		h.OK(c.Run())
		find = min(find, time.Since(start))
	}
	return took, find, use
}

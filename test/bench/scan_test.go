package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// TestRescan looks at 200,000 unchanged files.
func TestRescan(t *testing.T) {
	l := lab.New(t, "a")
	a := l.Hosts[0]
	const files = 200_000
	for i := range files {
		d := filepath.Join(a.Dir, fmt.Sprintf("d%02d/e%02d", i%20, i/20%100))
		if i < 2000 {
			a.OK(os.MkdirAll(d, 0o755))
		}
		a.OK(os.WriteFile(filepath.Join(d, fmt.Sprintf("file%06d", i)), fmt.Appendf(nil, "%d", i), 0o644))
	}
	a.Cli("init", a.Dir, "--name", "home")
	start := time.Now()
	a.Up()
	stop := profile(t, "first", a)
	first := until(t, "the first scan", 5*time.Minute, 100*time.Millisecond, func() bool { return pool(t, a).Files == files })
	add("first scan of 200,000 files", "%.2f s", first.Sub(start).Seconds(), fmt.Sprintf("CPU %.2f s", cpu(t, a).Seconds()), "", bar{})
	stop()
	a.Cli("scan")
	took, find, use := rescan(t, a)
	addRatio("rescan of 200,000 unchanged files", "%.0f files/s", files/took.Seconds(), files/find.Seconds(), "find -printf", atLeast(0.5, "%.1f × find"))
	add("  CPU", "%.2f s", use.Seconds(), fmt.Sprintf("%.2f s", find.Seconds()), "", bar{})
	peak, now := rss(t, a)
	add("  resident memory", "%.0f MB", now, fmt.Sprintf("peak %.0f MB", peak), "", bar{})
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

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// beside is a path on the same file system as the host's folder, outside it.
func beside(h *lab.Host, name string) string { return filepath.Join(filepath.Dir(h.Dir), name) }

func TestLargeFile(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	const size = 1 << 30
	noise(t, beside(a, "big"), size)
	raw, rawCPU := rawStream(t, a, b, size)
	stop := profile(t, "large", a, b)
	before, flow := spent(t, a, b), sampleIn(t, b)
	start := time.Now()
	a.OK(os.Rename(beside(a, "big"), a.Path("big")))
	end := visible(t, b.Path("big"), size, 2*time.Minute)
	stop()
	fetch, first, last := flow.end()
	use := spent(t, a, b).since(before)
	peakA, _ := rss(t, a)
	peakB, _ := rss(t, b)
	rs, rsCPU := rsyncFrom(t, a, b, "")

	addRatio("1 GiB file, rename to visible", "%.2f s", end.Sub(start).Seconds(), rs.Seconds(), "rsync", atMost(3, "%.0f × rsync"))
	rate, rawRate := size/1e6/fetch.Seconds(), size/1e6/raw.Seconds()
	addRatio("  B's fetch", "%.0f MB/s", rate, rawRate, "raw libp2p", atLeast(0.7, "%.1f × raw"))
	add("  of it: until the first bytes / last bytes to visible", "%.2f s", first.Sub(start).Seconds(),
		fmt.Sprintf("/ %.2f s", end.Sub(last).Seconds()), "", bar{})
	add("  CPU of both nodes", "%.2f s", use.cpu.Seconds(),
		fmt.Sprintf("rsync %.2f s, raw %.2f s", rsCPU.Seconds(), rawCPU.Seconds()), fmt.Sprintf("%.2f", use.cpu.Seconds()/rsCPU.Seconds()), bar{})
	add("  wire / payload", "%.4f", float64(use.wire)/size, "", "", bar{})
	add("  resident memory, peak", "%.0f MB", max(peakA, peakB), fmt.Sprintf("A %.0f, B %.0f", peakA, peakB), "", atMost(150, "%.0f MB"))
	l.Equal(a, b)
}

func TestOneByte(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	const size = 256 << 20
	noise(t, beside(a, "old"), size)
	a.OK(os.Rename(beside(a, "old"), a.Path("file")))
	visible(t, b.Path("file"), size, time.Minute)
	l.Equal(a, b)
	old, err := os.ReadFile(a.Path("file"))
	a.OK(err)
	a.OK(os.WriteFile(beside(a, "new"), append([]byte{'x'}, old...), 0o644))
	before := spent(t, a, b)
	start := time.Now()
	a.OK(os.Rename(beside(a, "new"), a.Path("file")))
	end := visible(t, b.Path("file"), size+1, time.Minute)
	use := spent(t, a, b).since(before)
	add("1 byte before a synced 256 MiB file: wire / file", "%.4f %%", 100*float64(use.wire)/size,
		fmt.Sprintf("%.2f s, %.0f kB", end.Sub(start).Seconds(), float64(use.wire)/1e3), "", atMost(0.5, "%.1f %%"))
	l.Equal(a, b)
}

func TestDirectoryRename(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	const files, size = 1000, 1 << 20
	a.OK(os.Mkdir(beside(a, "dir"), 0o755))
	for i := range files {
		a.OK(os.WriteFile(filepath.Join(beside(a, "dir"), fmt.Sprintf("f%04d", i)), lab.Noise(uint64(i)+1, size+i), 0o644))
	}
	start, before := time.Now(), spent(t, a, b)
	a.OK(os.Rename(beside(a, "dir"), a.Path("dir")))
	end := until(t, "1,000 files", 2*time.Minute, 100*time.Millisecond, func() bool {
		return pool(t, b).Files == files && settled(t, a, b)
	})
	use := spent(t, a, b).since(before)
	rs, rsCPU := rsyncFrom(t, a, b, "")
	addRatio("directory of 1,000 files, 1 GiB, new", "%.2f s", end.Sub(start).Seconds(), rs.Seconds(), "rsync", bar{})
	add("  CPU of both nodes", "%.2f s", use.cpu.Seconds(), fmt.Sprintf("rsync %.2f s", rsCPU.Seconds()),
		fmt.Sprintf("%.2f", use.cpu.Seconds()/rsCPU.Seconds()), bar{})
	l.Equal(a, b)

	stop := profile(t, "rename", a, b)
	start, before = time.Now(), spent(t, a, b)
	a.OK(os.Rename(a.Path("dir"), a.Path("other")))
	end = until(t, "rename of 1,000 files", time.Minute, time.Millisecond, func() bool {
		got, err := os.ReadDir(b.Path("other"))
		return err == nil && len(got) == files && !b.Exists("dir")
	})
	until(t, "rename of 1,000 files settles", time.Minute, 20*time.Millisecond, func() bool { return settled(t, a, b) })
	stop()
	use = spent(t, a, b).since(before)
	add("the directory renamed", "%.2f s", end.Sub(start).Seconds(), fmt.Sprintf("CPU %.2f s", use.cpu.Seconds()), "", atMost(3, "%.0f s"))
	add("  wire", "%.0f kB", float64(use.wire)/1e3, "", "", atMost(900, "%.0f kB"))
	l.Equal(a, b)
}

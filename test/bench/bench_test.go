// Package bench measures the program against rsync and against the limits of
// this machine: two nodes in two network namespaces over a veth pair, the
// rsync daemon beside them in the same run. It prints a table with ratios and
// judges nothing.
package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if why := lab.Unable(); why != "" {
		fmt.Printf("bench: skipped: %s; run it as root with: just bench\n", why)
		return 0
	}
	clean, err := lab.Build()
	if err != nil {
		fmt.Println("bench:", err)
		return 1
	}
	defer clean()
	return m.Run()
}

// visible polls for a file of a size and returns when it was there.
func visible(t *testing.T, path string, size int64, limit time.Duration) time.Time {
	t.Helper()
	end := time.Now().Add(limit)
	for time.Now().Before(end) {
		if fi, err := os.Stat(path); err == nil && fi.Size() == size {
			return time.Now()
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s is not there after %v", path, limit)
	return time.Time{}
}

// rss is the peak and present resident memory of a host's node, in MB.
func rss(h *lab.Host) (peak, now float64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.Node.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for _, line := range splitLines(string(b)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			peak = kb / 1024
		}
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil {
			now = kb / 1024
		}
	}
	return peak, now
}

func splitLines(s string) []string {
	var out []string
	for len(s) > 0 {
		i := slices.Index([]byte(s), '\n')
		if i < 0 {
			return append(out, s)
		}
		out, s = append(out, s[:i]), s[i+1:]
	}
	return out
}

// rsyncFrom copies a's folder to a fresh one on b through an rsync daemon and
// returns how long that took.
func rsyncFrom(t *testing.T, a, b *lab.Host, sub string) time.Duration {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "rsyncd.conf")
	text := fmt.Sprintf("use chroot = no\nuid = 0\ngid = 0\n[src]\npath = %s\nexclude = .meerkat\n", filepath.Join(a.Dir, sub))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	daemon := a.Command("rsync", "--daemon", "--no-detach", "--port=8730", "--config="+conf)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Process.Kill(); _ = daemon.Wait() }()
	time.Sleep(300 * time.Millisecond)
	dst := filepath.Join(dir, "dst")
	start := time.Now()
	out, err := b.Command("rsync", "-a", "rsync://"+a.IP+":8730/src/", dst+"/").CombinedOutput()
	if err != nil {
		t.Fatalf("rsync: %v: %s", err, out)
	}
	took := time.Since(start)
	_ = os.RemoveAll(dst)
	return took
}

func say(format string, args ...any) { fmt.Printf("| "+format+" |\n", args...) }

func TestLargeFile(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	const size = 1 << 30
	tmp := filepath.Join(filepath.Dir(a.Dir), "big")
	makeNoise(t, tmp, size)
	in0, _ := b.Wire()
	start := time.Now()
	a.OK(os.Rename(tmp, a.Path("big")))
	end := visible(t, b.Path("big"), size, 2*time.Minute)
	in1, _ := b.Wire()
	peakA, _ := rss(a)
	peakB, _ := rss(b)
	rs := rsyncFrom(t, a, b, "")
	took := end.Sub(start)
	say("1 GiB file | %.2f s | rsync %.2f s | ratio %.2f (bar 3) | wire %.3f | peak A %.0f MB, B %.0f MB (bar 150)",
		took.Seconds(), rs.Seconds(), took.Seconds()/rs.Seconds(), float64(in1-in0)/size, peakA, peakB)
	l.Equal(a, b)
}

func makeNoise(t *testing.T, path string, size int64) {
	t.Helper()
	if out, err := exec.Command("dd", "if=/dev/urandom", "of="+path, "bs=1M", fmt.Sprintf("count=%d", size>>20)).CombinedOutput(); err != nil {
		t.Fatalf("dd: %v: %s", err, out)
	}
	_ = exec.Command("sync").Run()
}

func TestSmallFiles(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	tmp := filepath.Join(filepath.Dir(a.Dir), "tree")
	payload := smallTree(t, tmp, 10_000)
	in0, out0 := b.Wire()
	start := time.Now()
	a.OK(os.Rename(tmp, a.Path("tree")))
	for b.Status().Pools[0].Files != 10_000 || b.Status().Pools[0].WantedHere.Files > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(start)
	in1, out1 := b.Wire()
	rs := rsyncFrom(t, a, b, "tree")
	say("10,000 files of 1 to 16 KiB | %.2f s (bar 5) | rsync %.2f s | ratio %.2f (bar 5) | wire %.3f (bar 1.15)",
		took.Seconds(), rs.Seconds(), took.Seconds()/rs.Seconds(), float64(in1-in0+out1-out0)/float64(payload))
	l.Equal(a, b)
	time.Sleep(10 * time.Second)
	_, idleA := rss(a)
	_, idleB := rss(b)
	say("idle with 10,000 files | A %.0f MB, B %.0f MB (bar 90)", idleA, idleB)
}

func smallTree(t *testing.T, dir string, n int) int64 {
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
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("f%05d", i)), lab.Noise(uint64(i), size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return total
}

func TestLatency(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	var took []time.Duration
	for i := range 100 {
		name := fmt.Sprintf("f%d", i)
		size := 1000 + i
		start := time.Now()
		a.OK(os.WriteFile(a.Path(name), lab.Noise(uint64(i), size), 0o644))
		took = append(took, visible(t, b.Path(name), int64(size), 30*time.Second).Sub(start))
		time.Sleep(300 * time.Millisecond)
	}
	slices.Sort(took)
	say("small file saved | p50 %.1f ms (bar 40) | p99 %.1f ms (bar 500) | max %.1f ms",
		ms(took[50]), ms(took[98]), ms(took[99]))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

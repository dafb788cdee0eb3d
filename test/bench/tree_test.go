package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestNeverMet joins two folders that hold the same 20,000 files already.
func TestNeverMet(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	const files = 20_000
	smallTree(t, a.Path("tree"), 0, files)
	l.Must("cp", "-a", a.Path("tree"), b.Path("tree"))
	a.Cli("init", a.Dir, "--name", "home")
	a.Up()
	until(t, "the first scan", 2*time.Minute, 20*time.Millisecond, func() bool { return pool(t, a).Files == files })
	ticket := a.Cli("invite", "-q")
	b.Up()
	before, start := spent(t, a, b), time.Now()
	b.Cli("join", ticket, b.Dir, "--timeout", "30s")
	end := until(t, "both are one", 3*time.Minute, 20*time.Millisecond, func() bool {
		return pool(t, b).Files == files && settled(t, a, b)
	})
	use := spent(t, a, b).since(before)
	rs, _ := rsyncFrom(t, a, b, "")
	addRatio("two equal trees of 20,000 files that never met", "%.2f s", end.Sub(start).Seconds(), rs.Seconds(), "rsync, all anew", atMost(10, "%.0f × rsync"))
	add("  wire", "%.2f MB", float64(use.wire)/1e6, "Syncthing 6.2 MB", "", atMost(6.2, "%.1f MB"))
	add("  CPU of both", "%.2f s", use.cpu.Seconds(), "", "", bar{})
	l.Equal(a, b)
}

// TestTree brings over a tree of packages, renames it, and removes it.
func TestTree(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	files := packages(t, beside(a, "node_modules"))
	before, start := spent(t, a, b), time.Now()
	a.OK(os.Rename(beside(a, "node_modules"), a.Path("node_modules")))
	end := until(t, "the tree", 3*time.Minute, 20*time.Millisecond, func() bool { return pool(t, b).Files == files && settled(t, a, b) })
	use := spent(t, a, b).since(before)
	rs, _ := rsyncFrom(t, a, b, "")
	addRatio(fmt.Sprintf("tree of %d files as npm makes them", files), "%.2f s", end.Sub(start).Seconds(), rs.Seconds(), "rsync", atMost(5, "%.0f × rsync"))
	add("  CPU of both nodes", "%.2f s", use.cpu.Seconds(), "", "", bar{})
	l.Equal(a, b)

	stop := profile(t, "treerename", a, b)
	before, start = spent(t, a, b), time.Now()
	a.OK(os.Rename(a.Path("node_modules"), a.Path("modules")))
	end = until(t, "the rename", 3*time.Minute, 20*time.Millisecond, func() bool {
		return !b.Exists("node_modules") && pool(t, b).Files == files && settled(t, a, b)
	})
	stop()
	use = spent(t, a, b).since(before)
	add("  renamed", "%.2f s", end.Sub(start).Seconds(), fmt.Sprintf("%.2f MB", float64(use.wire)/1e6), fmt.Sprintf("CPU %.2f s", use.cpu.Seconds()), bar{})
	l.Equal(a, b)

	stop = profile(t, "treeremove", a, b)
	before, start = spent(t, a, b), time.Now()
	l.Must("rm", "-rf", a.Path("modules"))
	removed := time.Since(start)
	end = until(t, "the removal", 3*time.Minute, 20*time.Millisecond, func() bool {
		return !b.Exists("modules") && pool(t, a).Files == 0 && settled(t, a, b)
	})
	stop()
	use = spent(t, a, b).since(before)
	addRatio("  removed", "%.2f s", end.Sub(start).Seconds(), removed.Seconds(), "rm -rf", bar{})
	add("    wire", "%.2f MB", float64(use.wire)/1e6, fmt.Sprintf("CPU %.2f s", use.cpu.Seconds()), "", bar{})
	l.Equal(a, b)
}

// packages makes a tree as a package manager does: many directories, most files
// small, many of them equal. It says how many files there are.
func packages(t *testing.T, dir string) (files int64) {
	t.Helper()
	for p := range 500 {
		for i := range 40 {
			d := filepath.Join(dir, fmt.Sprintf("pkg%03d", p), []string{"", "lib", "lib/util", "dist"}[i%4])
			if i < 4 {
				if err := os.MkdirAll(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			seed, size := uint64(p*40+i+1), 200+(i*i*i)%9000
			if i%8 == 0 {
				seed = uint64(i) // a licence that they share
			}
			if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("f%02d.js", i)), lab.Noise(seed, size), 0o644); err != nil {
				t.Fatal(err)
			}
			files++
		}
	}
	return files
}

// TestTinyFiles brings over 100,000 files of a few bytes.
func TestTinyFiles(t *testing.T) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(a, b)
	const files = 100_000
	tiny(t, beside(a, "tree"), files)
	stop := profile(t, "tiny", a, b)
	before, start := spent(t, a, b), time.Now()
	a.OK(os.Rename(beside(a, "tree"), a.Path("tree")))
	end := until(t, "100,000 files", 5*time.Minute, 100*time.Millisecond, func() bool { return pool(t, b).Files == files && settled(t, a, b) })
	stop()
	use := spent(t, a, b).since(before)
	rs, rsCPU := rsyncFrom(t, a, b, "")
	addRatio("100,000 tiny files", "%.2f s", end.Sub(start).Seconds(), rs.Seconds(), "rsync", atMost(5, "%.0f × rsync"))
	add("  CPU of both nodes", "%.2f s", use.cpu.Seconds(), fmt.Sprintf("rsync %.2f s", rsCPU.Seconds()), "", bar{})
	add("  wire for each", "%.0f B", float64(use.wire)/files, "", "", bar{})
	peakA, nowA := rss(t, a)
	peakB, nowB := rss(t, b)
	add("  resident memory, peak", "%.0f MB", max(peakA, peakB), fmt.Sprintf("A %.0f (now %.0f), B %.0f (%.0f)", peakA, nowA, peakB, nowB), "", atMost(200, "%.0f MB"))
	l.EqualWithin(2*time.Minute, a, b)
}

// tiny makes n files of a few bytes, 100 in a directory.
func tiny(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		d := filepath.Join(dir, fmt.Sprintf("d%03d/e%02d", i%200, i/200%10))
		if i < 2000 {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(d, fmt.Sprintf("file%06d", i)), fmt.Appendf(nil, "%d", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

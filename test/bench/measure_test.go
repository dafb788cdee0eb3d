package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/bwaklog/meerkat/test/lab"
)

// visible polls for a file of a size and returns when it was there.
func visible(t *testing.T, path string, size int64, limit time.Duration) time.Time {
	t.Helper()
	return until(t, path, limit, time.Millisecond, func() bool {
		fi, err := os.Stat(path)
		return err == nil && fi.Size() == size
	})
}

// until polls cond and returns when it held.
func until(t *testing.T, what string, limit, every time.Duration, cond func() bool) time.Time {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(every) {
		if cond() {
			return time.Now()
		}
	}
	t.Fatalf("%s: not after %v", what, limit)
	return time.Time{}
}

// pool asks a host's node for the state of its one pool.
func pool(t *testing.T, h *lab.Host) node.PoolStatus {
	t.Helper()
	s, err := control.NewClient(h.Home).Status(t.Context())
	if err != nil || len(s.Pools) != 1 {
		t.Fatalf("%s: status %v, %v", h.Name, s, err)
	}
	return s.Pools[0]
}

// chunksIn is how many bytes of content a host's node has fetched since it
// started.
func chunksIn(t *testing.T, h *lab.Host) int64 {
	t.Helper()
	s, err := control.NewClient(h.Home).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Transfer.BytesIn
}

// settled reports whether both nodes show one tree and want nothing.
func settled(t *testing.T, a, b *lab.Host) bool {
	t.Helper()
	p, q := pool(t, a), pool(t, b)
	return p.Root == q.Root && p.WantedHere.Files == 0 && q.WantedHere.Files == 0
}

// usage is what two nodes have spent so far.
type usage struct {
	cpu  time.Duration // user and system, of both
	wire int64         // bytes over b's interface, both ways
	cast int64         // of those, multicast
}

func spent(t *testing.T, a, b *lab.Host) usage {
	t.Helper()
	in, out := wire(t, b)
	return usage{cpu: cpu(t, a) + cpu(t, b), wire: in + out, cast: multicast(t, b)}
}

func (u usage) since(before usage) usage {
	return usage{cpu: u.cpu - before.cpu, wire: u.wire - before.wire, cast: u.cast - before.cast}
}

func proc(t *testing.T, h *lab.Host, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", h.Node.Process.Pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// cpu is the user and system time of a host's node, in ticks of 10 ms.
func cpu(t *testing.T, h *lab.Host) time.Duration {
	t.Helper()
	stat := proc(t, h, "stat")
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// wire is how many bytes a host's interface received and sent.
func wire(t *testing.T, h *lab.Host) (in, out int64) {
	t.Helper()
	for line := range strings.Lines(proc(t, h, "net/dev")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		if f := strings.Fields(rest); name == "eth0" && len(f) > 8 {
			in, _ = strconv.ParseInt(f[0], 10, 64)
			out, _ = strconv.ParseInt(f[8], 10, 64)
		}
	}
	return in, out
}

// rss is the peak and present resident memory of a host's node, in MB.
func rss(t *testing.T, h *lab.Host) (peak, now float64) {
	t.Helper()
	for line := range strings.Lines(proc(t, h, "status")) {
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

// inflow samples how much a host has received, until stopped.
type inflow struct {
	stop chan struct{}
	done sync.WaitGroup
	at   []time.Time
	in   []int64
}

func sampleIn(t *testing.T, h *lab.Host) *inflow {
	f := &inflow{stop: make(chan struct{})}
	f.done.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			in, _ := wire(t, h)
			f.at, f.in = append(f.at, time.Now()), append(f.in, in)
			select {
			case <-f.stop:
				return
			case <-tick.C:
			}
		}
	})
	return f
}

// end stops sampling and gives the time in which all but the first and the
// last hundredth came in, as if it were all; and when that began and ended.
func (f *inflow) end() (took time.Duration, first, last time.Time) {
	close(f.stop)
	f.done.Wait()
	low, high := f.in[0], f.in[len(f.in)-1]
	edge := (high - low) / 100
	for i, n := range f.in {
		if first.IsZero() && n >= low+edge {
			first = f.at[i]
		}
		if last.IsZero() && n >= high-edge {
			last = f.at[i]
		}
	}
	return time.Duration(float64(last.Sub(first)) / 0.98), first, last
}

// rsyncFrom copies part of a's folder to a fresh one on b through an rsync
// daemon; it returns how long that took and what CPU time both sides spent.
func rsyncFrom(t *testing.T, a, b *lab.Host, sub string) (took, spent time.Duration) {
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
	time.Sleep(300 * time.Millisecond)
	dst := filepath.Join(dir, "dst")
	client := b.Command("rsync", "-a", "rsync://"+a.IP+":8730/src/", dst+"/")
	start := time.Now()
	out, err := client.CombinedOutput()
	took = time.Since(start)
	_ = daemon.Process.Signal(syscall.SIGTERM)
	_ = daemon.Wait() // ended by our signal
	if err != nil {
		t.Fatalf("rsync: %v: %s", err, out)
	}
	_ = os.RemoveAll(dst)
	return took, cpuOf(client) + cpuOf(daemon)
}

// cpuOf is what a command that has ended spent, its children included.
func cpuOf(c *exec.Cmd) time.Duration { return c.ProcessState.UserTime() + c.ProcessState.SystemTime() }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// noise writes a file that does not compress.
func noise(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	b := lab.Noise(uint64(time.Now().UnixNano()), 1<<20)
	for off := int64(0); off < size; off += int64(len(b)) {
		scramble(b, uint64(off)+1)
		if _, err := f.Write(b[:min(size-off, int64(len(b)))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// scramble makes b other noise, cheaply: it adds a running odd multiple to
// each word.
func scramble(b []byte, seed uint64) {
	x := seed * 0x9E3779B97F4A7C15
	for i := 0; i+8 <= len(b); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for j := range 8 {
			b[i+j] ^= byte(x >> (8 * j))
		}
	}
}

// multicast is how many of the bytes over a host's interface were multicast:
// how nodes find each other on a LAN, whether they have anything to say or not.
func multicast(t *testing.T, h *lab.Host) int64 {
	t.Helper()
	var sum int64
	lines := strings.Split(proc(t, h, "net/netstat"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j, name := range names {
			if (name == "InMcastOctets" || name == "OutMcastOctets") && j < len(values) {
				n, _ := strconv.ParseInt(values[j], 10, 64)
				sum += n
			}
		}
	}
	for line := range strings.Lines(proc(t, h, "net/snmp6")) {
		f := strings.Fields(line)
		if len(f) == 2 && (f[0] == "Ip6InMcastOctets" || f[0] == "Ip6OutMcastOctets") {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			sum += n
		}
	}
	return sum
}

// load is the number of processes that wanted a CPU in the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(b))[0]
}

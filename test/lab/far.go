package lab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// wireQueue is how many frames are under way in one direction at most; what is
	// more is lost, as on any wire.
	wireQueue = 32 << 10
	// wireBuffer is how long a frame waits at most before a narrow wire; what would
	// wait longer is lost.
	wireBuffer = 50 * time.Millisecond
)

// Wire is what a host's wire to the bridge is like, in each direction.
type Wire struct {
	RTT  time.Duration // each frame takes half of it
	Loss float64       // the share of frames that lose their way
	Rate int64         // bits per second, as Ethernet counts them; 0 is no limit
}

// frameOverhead is what Ethernet adds to a frame on the wire: preamble, checksum
// and gap.
const frameOverhead = 24

// Far moves a host to the end of a long wire, before its node starts: every
// frame takes half of rtt, and loses its way with the given probability.
func (h *Host) Far(rtt time.Duration, loss float64) {
	h.lab.T.Helper()
	h.Wired(Wire{RTT: rtt, Loss: loss})
}

// Wired gives a host a wire of its own to the bridge, before its node starts. (This
// kernel has no netem: two TAP devices and this process are the wire.)
func (h *Host) Wired(wire Wire) {
	l := h.lab
	l.T.Helper()
	l.ports++
	port := fmt.Sprintf("p%d", l.ports)
	_ = exec.Command("ip", "-n", h.NS, "link", "del", "eth0").Run() // the short wire
	near, far := l.tap(l.bridge, port), l.tap(h.NS, "eth0")
	l.Must("ip", "-n", l.bridge, "link", "set", port, "master", "br0", "up")
	l.Must("ip", "-n", h.NS, "addr", "add", h.IP+"/24", "dev", "eth0")
	l.Must("ip", "-n", h.NS, "link", "set", "eth0", "up")
	l.Must("ip", "-n", h.NS, "route", "add", "default", "dev", "eth0")
	var wg sync.WaitGroup
	seed := uint64(l.id)
	l.T.Logf("%s is %v away, %.1f %% of frames are lost, seed %d", h.Name, wire.RTT, 100*wire.Loss, seed)
	for i, w := range [][2]*os.File{{near, far}, {far, near}} {
		carry(&wg, w[0], w[1], wire, rand.New(rand.NewPCG(seed, uint64(i))))
	}
	l.T.Cleanup(func() {
		_, _ = near.Close(), far.Close() // nobody is left to use the wire
		wg.Wait()
	})
}

type frame struct {
	due  time.Time
	data []byte
}

// carry moves frames one way until from is closed.
func carry(wg *sync.WaitGroup, from, to *os.File, w Wire, dice *rand.Rand) {
	under := make(chan frame, wireQueue)
	wg.Go(func() {
		defer close(under)
		var free time.Time // when the wire has sent what it was given
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			now := time.Now()
			if free.Before(now) {
				free = now
			}
			if dice.Float64() < w.Loss || free.Sub(now) > wireBuffer {
				continue
			}
			free = free.Add(w.sends(n))
			select {
			case under <- frame{free.Add(w.RTT / 2), append([]byte(nil), buf[:n]...)}:
			default:
			}
		}
	})
	wg.Go(func() {
		for f := range under {
			time.Sleep(time.Until(f.due))
			_, _ = to.Write(f.data) // an interface that is down takes none
		}
	})
}

// sends is how long the wire is busy with a frame of n bytes.
func (w Wire) sends(n int) time.Duration {
	if w.Rate == 0 {
		return 0
	}
	return time.Duration(int64(n+frameOverhead) * 8 * int64(time.Second) / w.Rate)
}

// tap makes a TAP device in a network namespace.
func (l *Lab) tap(ns, name string) *os.File {
	l.T.Helper()
	type made struct {
		f   *os.File
		err error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: this thread ends in the other namespace
		f, err := tapHere(ns, name)
		done <- made{f, err}
	}()
	m := <-done
	if m.err != nil {
		l.T.Fatalf("tap %s in %s: %v", name, ns, m.err)
	}
	return m.f
}

func tapHere(ns, name string) (*os.File, error) {
	n, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	if err := unix.Setns(int(n.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("setns: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(req))); errno != 0 {
		_ = unix.Close(fd) // of no use
		return nil, fmt.Errorf("TUNSETIFF: %w", errno)
	}
	return os.NewFile(uintptr(fd), name), nil
}

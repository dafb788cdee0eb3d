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

// wireQueue is how many frames are under way in one direction at most; what is
// more is lost, as on any wire.
const wireQueue = 4096

// Far moves a host to the end of a long wire, before its node starts: every
// frame takes half of rtt, and loses its way with the given probability. (This
// kernel has no netem: two TAP devices and this process are the wire.)
func (h *Host) Far(rtt time.Duration, loss float64) {
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
	l.T.Logf("%s is %v away, %.1f %% of frames are lost, seed %d", h.Name, rtt, 100*loss, seed)
	for i, w := range [][2]*os.File{{near, far}, {far, near}} {
		carry(&wg, w[0], w[1], rtt/2, loss, rand.New(rand.NewPCG(seed, uint64(i))))
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
func carry(wg *sync.WaitGroup, from, to *os.File, delay time.Duration, loss float64, dice *rand.Rand) {
	under := make(chan frame, wireQueue)
	wg.Go(func() {
		defer close(under)
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if dice.Float64() < loss {
				continue
			}
			select {
			case under <- frame{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}:
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

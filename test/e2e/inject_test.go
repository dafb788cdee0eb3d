package e2e

import (
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestCallsThatFailWhileApplying: whatever call the kernel refuses while changes are written, they wait with a reason, what
// stands there stays whole, and they come when the kernel does its work again. Nobody has to do anything.
func TestCallsThatFailWhileApplying(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed (apt-get install strace)")
	}
	l, a, b := two(t)
	for i, c := range []struct{ calls, err, code string }{
		{"fsync", "EIO", "io_error"},
		{"renameat2", "ENOSPC", "disk_full"},
		{"pwrite64", "EIO", "io_error"},
		{"pwrite64", "EDQUOT", "disk_full"},
		{"utimensat", "EIO", "io_error"},
	} {
		name := c.calls + "-" + c.err
		a.Write("keep", "before "+name)
		l.Equal(a, b)
		over := refuse(t, strace, b, c.calls, c.err)
		a.Write("keep", "after "+name)
		a.Write("big/"+name, string(lab.Noise(uint64(i), 100_000)))
		problem(l, b, 30*time.Second, "big/"+name, c.code)
		if got := b.Read("keep"); got != "before "+name && got != "after "+name {
			t.Errorf("%s: keep holds %.60q, want one whole version", name, got)
		}
		over()
		l.EqualWithin(90*time.Second, a, b)
		noProblems(l, b, 30*time.Second)
	}
	a.WantConflicts(0)
}

// refuse has calls of the host's node fail until over is called.
func refuse(t *testing.T, strace string, h *lab.Host, calls, errno string) (over func()) {
	t.Helper()
	cmd := exec.Command(strace, "-f", "-qq", "-o", "/dev/null", "-p", strconv.Itoa(h.Node.Process.Pid),
		"-e", "trace="+calls, "-e", fmt.Sprintf("inject=%s:error=%s", calls, errno))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // once is enough
		_ = cmd.Wait()                          // it ends by that signal
	}
	t.Cleanup(over)
	time.Sleep(time.Second) // until it has taken hold of all threads
	return over
}

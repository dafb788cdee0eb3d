package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// profile has perf watch the nodes of hosts until the returned function is
// called, where MEERKAT_BENCH_PERF names a directory for what it records.
// A run with it measures worse.
func profile(t *testing.T, name string, hosts ...*lab.Host) (end func()) {
	t.Helper()
	dir := os.Getenv("MEERKAT_BENCH_PERF")
	if dir == "" {
		return func() {}
	}
	var pids []string
	for _, h := range hosts {
		pids = append(pids, fmt.Sprint(h.Node.Process.Pid))
	}
	c := exec.Command("perf", "record", "-q", "-F", "499", "-g", "-p", strings.Join(pids, ","), "-o", filepath.Join(dir, name+".perf"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // until it has attached
	return func() {
		_ = c.Process.Signal(syscall.SIGINT)
		_ = c.Wait() // it ends by our signal
	}
}

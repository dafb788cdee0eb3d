package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/bwaklog/meerkat/test/lab"
)

// inject has system calls of h's node fail, as strace's arguments say, until
// the returned function is called.
func inject(l *lab.Lab, h *lab.Host, args ...string) (stop func()) {
	l.T.Helper()
	pid := h.Node.Process.Pid
	cmd := exec.Command("strace", append([]string{"-f", "-qq", "-o", "/dev/null", "-p", strconv.Itoa(pid)}, args...)...)
	if err := cmd.Start(); err != nil {
		l.T.Fatalf("strace: %v (apt-get install strace)", err)
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it lets go of the node, and ends
		_ = cmd.Wait()                         // by that signal
	}
	l.Until(20*time.Second, "strace holds all threads", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, f := range threads {
			if b, rerr := os.ReadFile(f); rerr == nil && strings.Contains(string(b), "TracerPid:\t0\n") {
				err = fmt.Errorf("%s is free", f)
			}
		}
		return err
	})
	return stop
}

// TestO_DS_3_ReadError: a file that the disk does not give stays as it was with
// the others, is reported, and comes when the disk gives it again.
func TestO_DS_3_ReadError(t *testing.T) {
	l, a, b := two(t)
	a.Put("bad", "what b has")
	a.Write("other", "1")
	l.Equal(a, b)
	stop := inject(l, a, "-P", a.Path("bad"), "-e", "trace=pread64", "-e", "inject=pread64:error=EIO")
	a.Put("bad", "newer, but the disk does not give it")
	a.Write("other", "2")
	problem(l, a, 30*time.Second, "bad", "unreadable")
	l.Until(30*time.Second, "the rest on b", func() error {
		if got := b.Read("other"); got != "2" {
			return fmt.Errorf("b has %q", got)
		}
		return nil
	})
	b.Want("bad", "what b has")
	stop()
	l.Until(90*time.Second, "the newer one on b", func() error {
		if got := b.Read("bad"); got != "newer, but the disk does not give it" {
			return fmt.Errorf("b has %q", got)
		}
		return nil
	})
	l.Equal(a, b)
	noProblems(l, a, 10*time.Second)
}

// TestTooManyOpenFiles: a node that may open no file more lives on, and goes on
// when it may.
func TestTooManyOpenFiles(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "1")
	l.Equal(a, b)
	pid := strconv.Itoa(b.Node.Process.Pid)
	open, err := os.ReadDir("/proc/" + pid + "/fd")
	b.OK(err)
	l.Must("prlimit", "--pid", pid, fmt.Sprintf("--nofile=%d:", len(open)))
	for i := range 50 {
		a.Put(fmt.Sprintf("d%d/f", i), string(lab.Noise(uint64(i), 300_000)))
	}
	a.Write("f", "2")
	time.Sleep(3 * time.Second)
	if !b.Running() {
		t.Fatalf("the node has ended:\n%s", l.Logs())
	}
	l.Must("prlimit", "--pid", pid, "--nofile=4096:")
	l.EqualWithin(90*time.Second, a, b)
	a.WantConflicts(0)
}

// powerCut drops what the file system at dir has not written yet.
func powerCut(t *testing.T, dir string) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const goingDown, noLogFlush = 0x8004587d, 2
	flag := uint32(noLogFlush)
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, d.Fd(), goingDown, uintptr(unsafe.Pointer(&flag))); e != 0 {
		t.Fatalf("shut down the file system: %v", e)
	}
}

// TestO_CR_2_PowerCut: what a power cut leaves of files that were coming in is
// whole, and nothing of the damage is told to others.
func TestO_CR_2_PowerCut(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	image, disk := filepath.Join(l.Dir, "image"), filepath.Join(l.Dir, "disk")
	a.OK(os.WriteFile(image, nil, 0o600))
	a.OK(os.Truncate(image, 256<<20))
	a.OK(os.Mkdir(disk, 0o755))
	l.Must("mkfs.ext4", "-q", "-F", image)
	l.Must("mount", "-o", "loop", image, disk)
	t.Cleanup(func() { b.Kill(); l.Run("umount", "-l", disk) })
	b.Home, b.Dir = filepath.Join(disk, "home"), filepath.Join(disk, "Sync")
	a.OK(os.MkdirAll(b.Dir, 0o755))
	l.Pool(a, b)
	versions := map[string]map[string]bool{} // of each name
	last := map[string]string{}
	seed := uint64(0)
	write := func(name string, size int) {
		seed++
		content := string(lab.Noise(seed, size))
		if versions[name] == nil {
			versions[name] = map[string]bool{}
		}
		versions[name][content], last[name] = true, content
		a.Write(name, content)
	}
	for cut := range 5 {
		for i := range 25 {
			write(fmt.Sprintf("new-%d-%d", cut, i), 20_000)
			write(fmt.Sprintf("again-%d", i), 300_000)
			if i == 10+cut {
				time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
				powerCut(t, disk)
			}
		}
		b.Kill()
		l.Must("umount", disk)
		l.Must("mount", "-o", "loop", image, disk)
		whole(t, b, func(name, content string) bool { return versions[name][content] || name == lab.Saving })
		b.Up()
	}
	l.EqualWithin(90*time.Second, a, b)
	a.WantConflicts(0)
	for name, content := range last {
		if a.Read(name) != content {
			t.Errorf("a: %s is not what was written there", name)
		}
	}
}

// TestO_WA_1_WatchLimit: where the system watches fewer directories than there
// are, people are told, and what is not watched is found by scanning.
func TestO_WA_1_WatchLimit(t *testing.T) {
	l, a, b := two(t)
	a.Stop()
	a.Wrap = []string{"unshare", "--user", "--map-root-user", "sh", "-c", `echo 50 >/proc/sys/user/max_inotify_watches && exec "$0" "$@"`}
	for i := range 200 {
		a.Put(fmt.Sprintf("d%d/f", i), "1")
	}
	a.Up()
	told(l, a, 30*time.Second, "watch")
	l.Equal(a, b)
	for i := range 200 {
		a.Put(fmt.Sprintf("d%d/f", i), "2")
	}
	a.Cli("scan")
	l.Equal(a, b)
	for i := range 200 {
		b.Want(fmt.Sprintf("d%d/f", i), "2")
	}
}

// TestO_WA_2_RenamedWhileNew: directories that are filled and renamed right
// after they were made are all found.
func TestO_WA_2_RenamedWhileNew(t *testing.T) {
	l, a, b := two(t)
	for i := range 500 {
		from := a.Path(fmt.Sprintf("a%d", i))
		a.OK(os.MkdirAll(from+"/b/c", 0o755))
		a.OK(os.WriteFile(from+"/b/c/f", []byte(strconv.Itoa(i)), 0o644))
		a.OK(os.Rename(from, a.Path(fmt.Sprintf("z%d", i))))
	}
	l.Until(60*time.Second, "all on b", func() error {
		for i := range 500 {
			if got := b.Read(fmt.Sprintf("z%d/b/c/f", i)); got != strconv.Itoa(i) {
				return fmt.Errorf("z%d/b/c/f holds %q", i, got)
			}
		}
		return nil
	})
	l.Equal(a, b)
	a.WantConflicts(0)
}

// TestO_WA_3_SavedTwiceAtOnce: two saves of one size with one mtime are two
// versions, and the second counts.
func TestO_WA_3_SavedTwiceAtOnce(t *testing.T) {
	l, a, b := two(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 60 {
		name := fmt.Sprintf("f%d", i)
		for v := range 2 {
			a.OK(os.WriteFile(a.Path(name), fmt.Appendf(nil, "version %d of %d", v+1, i), 0o644))
			a.Touch(name, at)
			if v == 0 {
				time.Sleep(time.Duration(i) * time.Millisecond) // somewhere in the middle of the scan of the first
			}
		}
	}
	l.Until(30*time.Second, "the second versions on b", func() error {
		for i := range 60 {
			if got := b.Read(fmt.Sprintf("f%d", i)); got != fmt.Sprintf("version 2 of %d", i) {
				return fmt.Errorf("f%d holds %q", i, got)
			}
		}
		return nil
	})
	l.Equal(a, b)
}

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// tmpfs mounts a small disk on a directory of a host.
func tmpfs(l *lab.Lab, dir, size string) {
	l.T.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.T.Fatal(err)
	}
	l.Must("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir)
	l.T.Cleanup(func() { l.Run("umount", "-l", dir) })
}

// fillUp writes a file until the disk is full, and gives its path.
func fillUp(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill %s: %v, want that it is full", dir, err)
	}
	return path
}

// whole checks that every file that can be seen on h is one whole version.
func whole(t *testing.T, h *lab.Host, want func(name, content string) bool) (n int) {
	t.Helper()
	names, err := os.ReadDir(h.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if e.IsDir() || e.Name() == "filler" {
			continue
		}
		n++
		if content := h.Read(e.Name()); !want(e.Name(), content) {
			t.Errorf("%s: %s is not whole: %d bytes", h.Name, e.Name(), len(content))
		}
	}
	return n
}

// TestO_DS_1_DiskFull: what fits comes, the rest waits with a reason, also
// where the disk is filled by somebody else, and comes when there is room.
func TestO_DS_1_DiskFull(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	tmpfs(l, b.Dir, "32m")
	a.Put(".meerkatignore", "filler\n")
	a.Put("s", "old")
	l.Pool(a, b)
	file := func(i int) string { return string(lab.Noise(uint64(i), 4<<20)) }
	for i := range 20 {
		a.Put(fmt.Sprintf("f%02d", i), file(i))
	}
	isWhole := func(name, content string) bool {
		var i int
		if _, err := fmt.Sscanf(name, "f%d", &i); err == nil {
			return content == file(i)
		}
		return name == "s" && content == "old" || name == ".meerkatignore"
	}
	l.Until(60*time.Second, "b has what fits", func() error {
		s := b.Status().Pools[0]
		full := 0
		for _, p := range s.Problems {
			if p.Code == "disk_full" && strings.Contains(p.Message, "kept in reserve") {
				full++
			}
		}
		if n := int64(full); s.WantedHere.Files != n || n < 12 || n > 15 {
			return fmt.Errorf("%d wanted, %d wait for room", s.WantedHere.Files, n)
		}
		return nil
	})
	if n := whole(t, b, isWhole); n < 7 || n > 10 {
		t.Errorf("%d files came onto 32 MB, want 5 to 8 of 4 MB and two small ones", n)
	}
	var space struct {
		Pools []struct{ Disk struct{ Free, Reserve int64 } }
	}
	b.JSON(&space, "status")
	if d := space.Pools[0].Disk; d.Reserve != (32<<20)/100 || d.Free < d.Reserve || d.Free > d.Reserve+4<<20 {
		t.Errorf("the disk has %+v, want a reserve of a hundredth and no room for a file", d)
	}

	filler := fillUp(t, b.Dir)
	a.Write("s", "new")
	text := problem(l, b, 30*time.Second, "s", "disk_full")
	if out := b.Cli("why", b.Path("s")); !strings.Contains(out, "nearly full") || !strings.Contains(text, "free some space") {
		t.Errorf("why says %q, status %q", out, text)
	}
	told(l, b, 10*time.Second, "nearly full")
	whole(t, b, isWhole)

	b.OK(os.Remove(filler))
	l.Must("mount", "-o", "remount,size=120m", b.Dir)
	l.EqualWithin(90*time.Second, a, b)
	noProblems(l, b, 10*time.Second)
	a.WantConflicts(0)
}

// TestReadOnlyDisk: where nothing can be written, what others change waits with
// a reason, and comes when the disk is writable again.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	tmpfs(l, b.Dir, "32m")
	a.Put("s", "old")
	l.Pool(a, b)
	l.Must("mount", "-o", "remount,ro", b.Dir)
	a.Write("s", "new")
	a.Write("t", "another")
	problem(l, b, 30*time.Second, "s", "read_only")
	if out := b.Cli("why", b.Path("t")); !strings.Contains(out, "read-only") {
		t.Errorf("why says %q", out)
	}
	b.Want("s", "old")
	l.Must("mount", "-o", "remount,rw", b.Dir)
	l.Equal(a, b)
}

// TestO_DS_2_StateDiskFull: a node whose state cannot grow stops with a reason,
// says nothing wrong, survives a crash, and goes on when there is room.
func TestO_DS_2_StateDiskFull(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	state := filepath.Join(b.Home, "state")
	tmpfs(l, state, "64m")
	a.Put("s", "old")
	l.Pool(a, b)
	filler := fillUp(t, state)
	inState(l, b, 20*time.Second, "halted")
	if why := b.Status().Pools[0].HaltedWhy; !strings.Contains(why, "disk that holds the state is full") {
		t.Errorf("halted because %q", why)
	}
	if r := b.Try("status", "--check"); r.Code != 8 {
		t.Errorf("status --check exits %d, want 8", r.Code)
	}
	a.Write("s", "new")
	b.Put("mine", "an edit of b")
	b.Kill()
	b.Up()
	a.Write("t", "while b is full")
	time.Sleep(2 * time.Second)
	if a.Exists("mine") {
		t.Error("b told of an edit that it cannot remember")
	}
	b.Want("s", "old")
	b.OK(os.Remove(filler))
	l.EqualWithin(90*time.Second, a, b)
	a.Want("mine", "an edit of b")
	b.Want("s", "new")
	a.WantConflicts(0)
	b.Cli("verify")
}

// TestRootMountedAgain: a pool whose disk is taken away and mounted again, even
// as another file system, goes on by itself.
func TestRootMountedAgain(t *testing.T) {
	l, a, b := two(t)
	a.Stop()
	first, second := a.Path("../first"), a.Path("../second")
	a.OK(os.Rename(a.Dir, first))
	a.OK(os.Mkdir(a.Dir, 0o755))
	l.Must("mount", "--bind", first, a.Dir)
	t.Cleanup(func() { l.Run("umount", "-l", a.Dir) })
	a.Up()
	a.Write("f", "1")
	a.Write("d/g", "1")
	l.Equal(a, b)
	tmpfs(l, second, "32m")
	l.Must("cp", "-a", first+"/.", second)
	a.OK(os.WriteFile(filepath.Join(second, "f"), []byte("changed while it was away"), 0o644))

	l.Must("umount", "-l", a.Dir)
	inState(l, a, 20*time.Second, "halted")
	b.Write("d/g", "2")
	time.Sleep(2 * time.Second)
	if names, err := os.ReadDir(a.Dir); err != nil || len(names) > 0 {
		t.Errorf("%v was written under the mount point, %v", names, err)
	}
	l.Must("mount", "--bind", second, a.Dir)
	l.Equal(a, b)
	b.Want("f", "changed while it was away")
	a.Want("d/g", "2")
	a.WantConflicts(0)
	a.Write("after", "x")
	l.Equal(a, b)
}

// TestNobodyHasIt: content whose only holder has left is said to be lost, and
// nobody waits for it for ever.
func TestNobodyHasIt(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	l.Pool(b, a) // b is the admin
	b.Cli("pause", "a")
	a.Write("f", string(lab.Noise(1, 1<<20)))
	l.Until(30*time.Second, "b has heard of it", func() error {
		if n := b.Status().Pools[0].WantedHere.Files; n != 1 {
			return fmt.Errorf("%d wanted", n)
		}
		return nil
	})
	if out := b.Cli("why", b.Path("f")); strings.Contains(out, "nobody has it") {
		t.Errorf("a has it, but why says %q", out)
	}
	// The end of a's log would be cut off with a if it had never arrived.
	a.OK(os.Mkdir(a.Path("later"), 0o755))
	l.Until(30*time.Second, "b has what came after it", func() error {
		_, err := os.Stat(b.Path("later"))
		return err
	})
	b.Cli("peer", "rm", "a", "--yes")
	text := problem(l, b, 40*time.Second, "f", "unavailable")
	if !strings.Contains(text, "nobody has it any more") || !strings.Contains(text, "a wrote it") || !strings.Contains(text, "no member any more") {
		t.Errorf("status says %q", text)
	}
	if out := b.Cli("why", b.Path("f")); !strings.Contains(out, "nobody has it any more") {
		t.Errorf("why says %q", out)
	}
	if r := b.Try("wait", "--timeout", "60s"); r.Code != 7 || !strings.Contains(r.Err, "nobody has it any more") {
		t.Errorf("wait exits %d, want 7: %s", r.Code, r.Err)
	}
}

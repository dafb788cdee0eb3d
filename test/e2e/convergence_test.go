package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

func TestO_CV_1_BothCreate(t *testing.T) {
	l, a, b := two(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			a.Put(fmt.Sprintf("a%d", i), fmt.Sprintf("by a %d", i))
		}
		for i := range 3 {
			a.OK(os.MkdirAll(a.Path(fmt.Sprintf("empty%d", i)), 0o755))
		}
		a.OK(os.Symlink("a1", a.Path("link")))
	})
	wg.Go(func() {
		for i := range 5 {
			b.Put(fmt.Sprintf("b%d", i), fmt.Sprintf("by b %d", i))
		}
	})
	wg.Wait()
	l.Equal(a, b)
	a.WantConflicts(0)
	if n := len(lab.Snapshot(t, b.Dir)); n != 29 {
		t.Errorf("b has %d entries, want 29", n)
	}
}

func TestO_CV_2_JoinWithTheSameFiles(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	for i := range 1000 {
		a.Put(fmt.Sprintf("d%d/f%d", i%10, i), string(lab.Noise(uint64(i), 20_000)))
	}
	b.OK(os.RemoveAll(b.Dir))
	l.Must("cp", "-a", a.Dir, b.Dir)
	in0, out0 := b.Wire()
	l.Pool(a, b)
	in1, out1 := b.Wire()
	if n := in1 - in0 + out1 - out0; n > 1<<20 {
		t.Errorf("%d bytes on the wire, want less than 1 MB", n)
	}
	a.WantConflicts(0)
}

func TestO_CV_3_Ring(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b", "c", "d")
	a, b, c, d := l.Hosts[0], l.Hosts[1], l.Hosts[2], l.Hosts[3]
	l.Pool(a, b, c, d)
	a.Cut(c)
	b.Cut(d)
	write := func(h *lab.Host) {
		for i := range 10 {
			h.Put(fmt.Sprintf("%s%d", h.Name, i), h.Name)
		}
	}
	write(a)
	write(b)
	b.Cli("scan")
	b.Stop()
	write(c)
	write(d)
	b.Up()
	l.Equal(a, b, c, d)
	if n := len(lab.Snapshot(t, d.Dir)); n != 40 {
		t.Errorf("d has %d entries, want 40", n)
	}
}

func TestO_CV_4_JoinWhileWriting(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b", "c")
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	l.Pool(a, b)
	a.Put("gone", "x")
	l.Equal(a, b)
	a.OK(os.Remove(a.Path("gone")))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			_ = os.WriteFile(a.Path(fmt.Sprintf("f%d", i)), []byte("x"), 0o644)
			time.Sleep(200 * time.Millisecond)
		}
	}()
	ticket := a.Cli("invite", "-q")
	c.Up()
	c.Cli("join", ticket, c.Dir, "--timeout", "30s")
	<-done
	l.Equal(a, b, c)
	c.Want("gone", "<absent>")
	c.Want("f49", "x")
}

func TestO_AT_1_OnlyWholeVersionsAreSeen(t *testing.T) {
	l, a, b := two(t)
	one, two := lab.Noise(1, 20<<20), lab.Noise(2, 20<<20)
	stop, bad := make(chan struct{}), make(chan string, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		seen := false
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			got, err := os.ReadFile(b.Path("f"))
			switch {
			case err != nil && seen:
				bad <- "it was gone after it had been there"
				return
			case err != nil:
			case string(got) == string(one), string(got) == string(two):
				seen = true
			default:
				bad <- fmt.Sprintf("a torn file of %d bytes", len(got))
				return
			}
		}
	})
	a.Write("f", string(one))
	l.Equal(a, b)
	a.Write("f", string(two))
	l.Equal(a, b)
	close(stop)
	wg.Wait()
	select {
	case why := <-bad:
		t.Error(why)
	default:
	}
	b.Want("f", string(two))
}

func TestO_AT_2_OpenDescriptorKeepsItsBytes(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "version one")
	l.Equal(a, b)
	f, err := os.Open(b.Path("f"))
	b.OK(err)
	defer f.Close()
	a.Write("f", "version two!")
	l.Equal(a, b)
	got := make([]byte, 64)
	n, _ := f.ReadAt(got, 0)
	if string(got[:n]) != "version one" {
		t.Errorf("the open file reads %q", got[:n])
	}
	b.Want("f", "version two!")
}

func TestO_AT_3_SourceDiesMidway(t *testing.T) {
	l, a, b, c := three(t)
	const size = 50 << 20
	b.Stop()
	a.Write("f", string(lab.Noise(3, size)))
	l.Equal(a, c)
	in0, _ := b.Wire()
	b.Up()
	l.Until(20*time.Second, "b has begun", func() error {
		if in, _ := b.Wire(); in-in0 < 1<<20 {
			return fmt.Errorf("%d bytes", in-in0)
		}
		return nil
	})
	a.Kill()
	l.Equal(b, c)
	if in, _ := b.Wire(); float64(in-in0) > 1.3*size {
		t.Errorf("b received %d bytes for %d", in-in0, size)
	}
}

func TestO_RN_1_Rotation(t *testing.T) {
	l, a, b := two(t)
	for _, n := range []string{"a", "b", "c"} {
		a.Write(n, "content of "+n)
	}
	l.Equal(a, b)
	a.OK(os.Rename(a.Path("a"), a.Path("t")))
	a.OK(os.Rename(a.Path("c"), a.Path("a")))
	a.OK(os.Rename(a.Path("b"), a.Path("c")))
	a.OK(os.Rename(a.Path("t"), a.Path("b")))
	l.Equal(a, b)
	b.Want("a", "content of c")
	b.Want("b", "content of a")
	b.Want("c", "content of b")
	b.WantConflicts(0)
}

func TestO_RN_2_SameFileRenamedTwice(t *testing.T) {
	l, a, b := two(t)
	a.Write("x", "content")
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.Rename(a.Path("x"), a.Path("y")))
		b.OK(os.Rename(b.Path("x"), b.Path("z")))
	})
	l.Equal(a, b)
	a.Want("x", "<absent>")
	if a.Read("y") != "content" && a.Read("z") != "content" {
		t.Error("the content is gone")
	}
	a.WantConflicts(0)
}

func TestO_RN_3_RenamedOverAnEdit(t *testing.T) {
	l, a, b := two(t)
	a.Write("a.txt", "from a.txt")
	a.Write("b.txt", "old b")
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.Rename(a.Path("a.txt"), a.Path("b.txt")))
		b.Write("b.txt", "edited b")
	})
	l.Equal(a, b)
	copies := a.WantConflicts(1)
	both := a.Read("b.txt") + "|" + a.Read(copies[0])
	if both != "from a.txt|edited b" && both != "edited b|from a.txt" {
		t.Errorf("kept %q", both)
	}
}

func TestO_RN_4_DirectoriesMovedApart(t *testing.T) {
	l, a, b := two(t)
	a.Put("d1/x", "x")
	a.Put("d1/sub/y", "y")
	a.Put("d2/z", "z")
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.Rename(a.Path("d1"), a.Path("d3")))
		b.OK(os.Rename(b.Path("d1"), b.Path("d2/d1")))
	})
	l.Equal(a, b)
	a.Want("d3/x", "x")
	a.Want("d3/sub/y", "y")
	a.Want("d2/d1/x", "x")
	a.Want("d2/z", "z")
	if a.Exists("d1") {
		t.Error("d1 is still there")
	}
}

func TestO_MD_1_TimesAndModes(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "x")
	a.Write("g", "y")
	l.Equal(a, b)
	a.Touch("f", time.Unix(12345, 678901234))
	a.Touch("g", time.Date(2099, 1, 2, 3, 4, 5, 987654321, time.UTC))
	a.OK(os.Chmod(a.Path("f"), 0o640))
	l.Equal(a, b)
	fi, err := os.Stat(b.Path("f"))
	b.OK(err)
	if fi.ModTime().UnixNano() != 12345678901234 || fi.Mode().Perm() != 0o640 {
		t.Errorf("b: %v %v", fi.ModTime(), fi.Mode())
	}
}

func TestO_MD_2_ChmodAgainstEdit(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "x")
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.Chmod(a.Path("f"), 0o755))
		b.Write("f", "edited")
	})
	l.Equal(a, b)
	a.Want("f", "edited")
	if fi, err := os.Stat(a.Path("f")); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("f is %v, %v", fi.Mode(), err)
	}
	a.WantConflicts(0)
}

func TestO_MD_3_NoSetuidFromTheNetwork(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "x")
	a.OK(os.Chown(a.Path("f"), 1234, 1234))
	l.Must("chmod", "6755", a.Path("f"))
	l.Until(30*time.Second, "on b", func() error {
		if fi, err := os.Stat(b.Path("f")); err != nil || fi.Mode().Perm() != 0o755 {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
	out, err := exec.Command("stat", "-c", "%a %u", b.Path("f")).Output()
	b.OK(err)
	if string(out) != "755 0\n" {
		t.Errorf("b: mode and owner are %s", out)
	}
}

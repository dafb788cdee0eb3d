package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestO_DL_1_DeletedWhileOff(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "x")
	l.Equal(a, b)
	b.Stop()
	a.OK(os.Remove(a.Path("f")))
	a.Cli("scan")
	b.Up()
	l.Equal(a, b)
	b.Want("f", "<absent>")
}

func TestDeletedWhileItselfWasOff(t *testing.T) {
	l, a, b := two(t)
	a.Write("d/f", "x")
	a.Write("keep", "k")
	l.Equal(a, b)
	a.Stop()
	a.OK(os.RemoveAll(a.Path("d")))
	a.Up()
	l.Equal(a, b)
	if b.Exists("d") {
		t.Error("the directory is still on b")
	}
	b.Want("keep", "k")
}

func TestO_DL_2_DeleteAgainstEdit(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "x")
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.Remove(a.Path("f")))
		b.Write("f", "edited")
	})
	l.Equal(a, b)
	a.Want("f", "edited")
	a.WantConflicts(0)
}

func TestO_DL_3_TombstoneOutlivesAbsence(t *testing.T) {
	l, a, b, c := three(t)
	a.Write("f", "x")
	l.Equal(a, b, c)
	b.Stop()
	a.OK(os.Remove(a.Path("f")))
	l.Converged(30*time.Second, a, c)
	a.Stop()
	c.Stop()
	a.Up()
	c.Up()
	b.Up()
	l.Equal(a, b, c)
	b.Want("f", "<absent>")
}

func TestO_DL_4_LargeTreeDeleted(t *testing.T) {
	l, a, b := two(t)
	for i := range 5000 {
		a.Put(fmt.Sprintf("t/%02d/%02d/f%d", i%50, i%7, i), "x")
	}
	l.Equal(a, b)
	a.OK(os.RemoveAll(a.Path("t")))
	l.Until(20*time.Second, "the tree is gone on b", func() error {
		if b.Exists("t") {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	l.Equal(a, b)
}

func TestO_DL_5_BothDeleteOneRecreates(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "old")
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.Remove(a.Path("f")))
		b.OK(os.Remove(b.Path("f")))
		a.Cli("scan")
		a.Write("f", "new")
	})
	l.Equal(a, b)
	b.Want("f", "new")
}

func TestO_DL_6_RestoredFromBackup(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "yesterday")
	l.Equal(a, b)
	a.OK(os.Remove(a.Path("f")))
	l.Equal(a, b)
	a.Stop()
	b.Stop()
	b.Put("f", "yesterday")
	b.Up()
	a.Up()
	l.Equal(a, b)
	a.Want("f", "yesterday")
}

func TestO_DR_1_Directories(t *testing.T) {
	l, a, b := two(t)
	a.OK(os.MkdirAll(a.Path("a/b/c/d"), 0o755))
	l.Equal(a, b)
	a.OK(os.Remove(a.Path("a/b/c/d")))
	a.OK(os.Chmod(a.Path("a/b/c"), 0o700))
	l.Equal(a, b)
	fi, err := os.Stat(b.Path("a/b/c"))
	if err != nil || fi.Mode().Perm() != 0o700 || b.Exists("a/b/c/d") {
		t.Errorf("b: a/b/c is %v (%v), d there: %v", fi, err, b.Exists("a/b/c/d"))
	}
}

func TestO_DR_2_ChildSurvivesDeletedParent(t *testing.T) {
	l, a, b := two(t)
	for i := range 10 {
		a.Put(fmt.Sprintf("p/f%d", i), "x")
	}
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.RemoveAll(a.Path("p")))
		b.Write("p/new", "n")
	})
	l.Equal(a, b)
	a.Want("p/new", "n")
	for i := range 10 {
		a.Want(fmt.Sprintf("p/f%d", i), "<absent>")
	}
}

func TestO_DR_3_LargeDirectoryRenamed(t *testing.T) {
	l, a, b := two(t)
	for i := range 1000 {
		a.Put(fmt.Sprintf("old/f%d", i), fmt.Sprintf("content %d %s", i, make([]byte, 4000)))
	}
	l.Equal(a, b)
	in0, out0 := b.Wire()
	start := time.Now()
	a.OK(os.Rename(a.Path("old"), a.Path("new")))
	l.Until(10*time.Second, "renamed on b", func() error {
		if b.Exists("old") || !b.Exists("new/f999") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	t.Logf("renamed on b after %v", time.Since(start))
	l.Equal(a, b)
	in1, out1 := b.Wire()
	if n := in1 - in0 + out1 - out0; n > 2<<20 {
		t.Errorf("%d bytes on the wire, want less than 2 MB", n)
	}
}

func TestO_DR_4_ForeignThingsStay(t *testing.T) {
	l, a, b := two(t)
	a.Put("p/f", "x")
	a.Put("q/g", "y")
	l.Equal(a, b)
	b.OK(syscall.Mkfifo(b.Path("p/pipe"), 0o600))
	a.OK(os.RemoveAll(a.Path("p")))
	a.Write("q/g", "z")
	l.Until(30*time.Second, "deleted on b", func() error {
		if b.Exists("p/f") || b.Read("q/g") != "z" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	b.Cli("scan")
	l.Converged(30*time.Second, a, b)
	if !b.Exists("p/pipe") {
		t.Error("the pipe is gone")
	}
	if a.Exists("p") {
		t.Error("p is back on a")
	}
}

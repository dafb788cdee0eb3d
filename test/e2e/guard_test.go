package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// state waits until the only pool of h is in a state.
func inState(l *lab.Lab, h *lab.Host, limit time.Duration, want string) {
	l.T.Helper()
	l.Until(limit, h.Name+" is "+want, func() error {
		if p := h.Status().Pools[0]; p.State != want {
			return fmt.Errorf("%s %s", p.State, p.HaltedWhy)
		}
		return nil
	})
}

func TestO_GD_1_MarkerRemovedAndBack(t *testing.T) {
	l, a, b := two(t)
	for i := range 100 {
		a.Put(fmt.Sprintf("f%d", i), "x")
	}
	l.Equal(a, b)
	want := lab.Snapshot(t, b.Dir)
	a.OK(os.Rename(a.Path(".meerkat/pool"), a.Path("../aside")))
	inState(l, a, 10*time.Second, "halted")
	for i := range 100 {
		a.OK(os.Remove(a.Path(fmt.Sprintf("f%d", i))))
	}
	time.Sleep(3 * time.Second)
	if diff := lab.Compare(want, lab.Snapshot(t, b.Dir)); diff != "" {
		t.Errorf("b changed:\n%s", diff)
	}
	b.Write("f5", "newer")
	time.Sleep(2 * time.Second)
	if a.Exists("f5") {
		t.Error("a was written to while it was halted")
	}
	for i := range 100 {
		a.Put(fmt.Sprintf("f%d", i), "x")
	}
	a.OK(os.Rename(a.Path("../aside"), a.Path(".meerkat/pool")))
	l.Equal(a, b)
	for i := range 100 {
		if !b.Exists(fmt.Sprintf("f%d", i)) {
			t.Fatalf("f%d is gone on b", i)
		}
	}
}

func TestO_GD_2_RootNotMounted(t *testing.T) {
	l, a, b := two(t)
	a.Stop()
	disk := a.Path("../disk")
	a.OK(os.Rename(a.Dir, disk))
	a.OK(os.Mkdir(a.Dir, 0o755))
	l.Must("mount", "--bind", disk, a.Dir)
	t.Cleanup(func() { l.Run("umount", "-l", a.Dir) })
	a.Up()
	for i := range 20 {
		a.Put(fmt.Sprintf("f%d", i), "x")
	}
	l.Equal(a, b)
	a.Stop()
	l.Must("umount", a.Dir)
	a.Up()
	inState(l, a, 10*time.Second, "halted")
	b.Write("new", "y")
	time.Sleep(3 * time.Second)
	if names, err := os.ReadDir(a.Dir); err != nil || len(names) > 0 {
		t.Errorf("%v was written under the mount point, %v", names, err)
	}
	if n := len(lab.Snapshot(t, b.Dir)); n != 21 {
		t.Errorf("b has %d entries, want 21", n)
	}
	l.Must("mount", "--bind", disk, a.Dir)
	l.Equal(a, b)
}

func TestO_GD_3_SubMountGone(t *testing.T) {
	l, a, b := two(t)
	a.OK(os.Mkdir(a.Path("sub"), 0o755))
	l.Must("mount", "-t", "tmpfs", "tmpfs", a.Path("sub"))
	t.Cleanup(func() { l.Run("umount", "-l", a.Path("sub")) })
	for i := range 30 {
		a.Put(fmt.Sprintf("sub/f%d", i), "x")
	}
	a.Write("other", "1")
	a.Cli("scan")
	l.Equal(a, b)
	a.Stop()
	l.Must("umount", a.Path("sub"))
	a.Up()
	a.Try("scan", "--timeout", "20s")
	a.Write("other", "2")
	l.Until(20*time.Second, "the rest goes on", func() error {
		if got := b.Read("other"); got != "2" {
			return fmt.Errorf("b has %q", got)
		}
		return nil
	})
	for i := range 30 {
		b.Want(fmt.Sprintf("sub/f%d", i), "x")
	}
	if held := a.Status().Pools[0].Held; held != 1 {
		t.Errorf("%d held, want 1", held)
	}
	if r := a.Try("status", "--check"); r.Code != 8 {
		t.Errorf("status --check exits %d, want 8: %s", r.Code, r.Err)
	}
	a.Cli("held", "accept", "--yes")
	l.Until(20*time.Second, "accepted", func() error {
		if b.Exists("sub/f1") {
			return fmt.Errorf("b has the files still")
		}
		return nil
	})
	l.Equal(a, b)
}

// gone makes a pool of n files and has all but a few of them disappear on a while it is off.
func gone(t *testing.T, n int) (l *lab.Lab, a, b *lab.Host) {
	l, a, b = two(t)
	for i := range n {
		a.Put(fmt.Sprintf("d%d/f%d", i%5, i), fmt.Sprintf("content %d", i))
	}
	l.Equal(a, b)
	a.Stop()
	for i := range 4 {
		a.OK(os.RemoveAll(a.Path(fmt.Sprintf("d%d", i))))
	}
	a.Up()
	return l, a, b
}

func TestMassDisappearanceIsHeld(t *testing.T) {
	for _, verdict := range []string{"accept", "reject", "come back"} {
		t.Run(verdict, func(t *testing.T) {
			l, a, b := gone(t, 100)
			want := lab.Snapshot(t, b.Dir)
			l.Until(10*time.Second, "held", func() error {
				if p := a.Status().Pools[0]; p.Held != 1 || p.NeedsYou == 0 {
					return fmt.Errorf("%d held, state %s", p.Held, p.State)
				}
				return nil
			})
			if out := a.Cli("held", "ls", "--json"); !strings.Contains(out, `"kind":"mass_deletion"`) || !strings.Contains(out, `"count":84`) {
				t.Errorf("held ls: %s", out)
			}
			a.Write("d4/new", "goes on")
			l.Until(10*time.Second, "the rest goes on", func() error {
				if b.Read("d4/new") != "goes on" {
					return fmt.Errorf("not on b yet")
				}
				return nil
			})
			a.Stop()
			a.Up() // what is held stays held
			a.Cli("scan")
			if !b.Exists("d1/f1") || len(lab.Snapshot(t, b.Dir)) != len(want)+1 {
				t.Fatal("b lost files")
			}
			switch verdict {
			case "accept":
				a.Cli("held", "accept", "--yes")
				l.Equal(a, b)
				if b.Exists("d1") || !b.Exists("d4/f4") {
					t.Error("the deletion was not taken over")
				}
			case "reject":
				a.Cli("held", "reject", "--yes")
				l.Equal(a, b)
				a.Want("d1/f1", "content 1")
			default:
				l.Must("cp", "-a", b.Path("d0"), b.Path("d1"), b.Path("d2"), b.Path("d3"), a.Dir)
				a.Cli("scan")
				l.Equal(a, b)
				a.Want("d1/f1", "content 1")
			}
			if held := a.Status().Pools[0].Held; held != 0 {
				t.Errorf("%d held afterwards", held)
			}
			a.WantConflicts(0)
		})
	}
}

func TestWhatIsWatchedIsNeverHeld(t *testing.T) {
	l, a, b := two(t)
	for i := range 300 {
		a.Put(fmt.Sprintf("t/d%d/f%d", i%20, i), "x")
	}
	l.Equal(a, b)
	a.OK(os.RemoveAll(a.Path("t")))
	a.Try("scan", "--timeout", "20s") // a full scan in the middle of it
	l.Equal(a, b)
	if b.Exists("t") {
		t.Error("the deletion did not reach b")
	}
	if held := a.Status().Pools[0].Held; held != 0 {
		t.Errorf("%d held", held)
	}
}

func TestRenamedWhileOffIsNotHeld(t *testing.T) {
	l, a, b := two(t)
	for i := range 120 {
		a.Put(fmt.Sprintf("d/f%d", i), fmt.Sprintf("content %d", i))
	}
	l.Equal(a, b)
	a.Stop()
	a.OK(os.Rename(a.Path("d"), a.Path("e")))
	a.Up()
	l.Equal(a, b)
	b.Want("e/f7", "content 7")
	if b.Exists("d") {
		t.Error("the old directory is still on b")
	}
}

func TestBurstIsToldAndHeld(t *testing.T) {
	l, a, b := two(t)
	for i := range 200 {
		a.Put(fmt.Sprintf("f%d", i), "x")
	}
	l.Equal(a, b)
	b.Env = append(b.Env, "MEERKAT_SAFETY__HOLD_BURSTS=true")
	b.Stop()
	b.Up()
	l.Equal(a, b)
	for i := range 200 {
		a.Put(fmt.Sprintf("f%d", i), "encrypted")
		if i%40 == 39 {
			time.Sleep(300 * time.Millisecond)
		}
	}
	told(l, b, 10*time.Second, "more than a fifth")
	l.Until(10*time.Second, "held on b", func() error {
		if held := b.Status().Pools[0].Held; held != 1 {
			return fmt.Errorf("%d held", held)
		}
		return nil
	})
	b.Want("f199", "x")
	b.Cli("held", "reject", "--yes")
	l.Equal(a, b)
	a.Want("f199", "x")
}

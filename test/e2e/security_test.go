package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// A directory that was swapped for a link to elsewhere is not written through.
func TestO_SC_1_LinkInPlaceOfDirectory(t *testing.T) {
	l, a, b := two(t)
	a.Write("d/first", "1")
	l.Equal(a, b)
	outside := t.TempDir()
	apart(l, func() {
		b.OK(os.RemoveAll(b.Path("d")))
		b.OK(os.Symlink(outside, b.Path("d")))
		a.Write("d/x", "from a")
	})
	l.Equal(a, b)
	if got, err := os.ReadDir(outside); err != nil || len(got) != 0 {
		t.Errorf("outside of the folder: %v, %v, want nothing", got, err)
	}
	a.Want("d/x", "from a")
}

// An invitation that has expired lets nobody in.
func TestO_SC_3_StolenInvitation(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "x")
	a, x := l.Hosts[0], l.Hosts[1]
	l.Pool(a)
	a.Write("secret", "s")
	ticket := a.Cli("invite", "-q", "--expires", "1s")
	time.Sleep(1500 * time.Millisecond) // it expires by the real clock
	x.Up()
	if r := x.Try("join", ticket, x.Dir, "--timeout", "20s"); r.Code != 9 {
		t.Errorf("join by an expired ticket: exit %d, %s%s, want 9", r.Code, r.Out, r.Err)
	}
	if n := len(a.Status().Pools[0].Members); n != 1 {
		t.Errorf("%d members, want 1", n)
	}
	if x.Exists("secret") {
		t.Error("a stranger was served")
	}
}

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestWaitIsTrue: when `wait` returns on one node, everything that was changed on any node before it was called is on
// all disks. One call is enough, wherever the changes were made.
func TestWaitIsTrue(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b", "c")
	hosts := l.Hosts
	l.Pool(hosts...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	for round := range 40 {
		for range 1 + dice.IntN(6) {
			change(hosts[dice.IntN(len(hosts))], dice)
		}
		caller := hosts[dice.IntN(len(hosts))]
		caller.Cli("wait", "--timeout", "60s")
		want := lab.Snapshot(t, caller.Dir)
		for _, h := range hosts {
			if diff := lab.Compare(want, lab.Snapshot(t, h.Dir)); diff != "" {
				t.Fatalf("round %d: after wait on %s, %s differs:\n%s", round, caller.Name, h.Name, diff)
			}
		}
	}
}

// change does something that a person may do to one of a few paths.
func change(h *lab.Host, dice *rand.Rand) {
	name := fmt.Sprintf("d%d/f%d", dice.IntN(3), dice.IntN(4))
	switch dice.IntN(6) {
	case 0:
		h.OK(os.RemoveAll(h.Path(name)))
	case 1:
		h.OK(os.RemoveAll(h.Path(name[:2])))
	case 2:
		_ = os.Rename(h.Path(name), h.Path(name+"x")) // it may not be there
	case 3:
		h.Put(name, string(lab.Noise(dice.Uint64(), 1+dice.IntN(300_000))))
	default:
		h.Write(name, fmt.Sprint(dice.Uint64()))
	}
}

// TestWaitAsks: what a member said a moment ago is not taken for how things stand with it now.
func TestWaitAsks(t *testing.T) {
	_, a, b := two(t)
	b.Signal(syscall.SIGSTOP)
	b.Write("f", "while it could not see")
	back := time.AfterFunc(time.Second, func() { b.Signal(syscall.SIGCONT) })
	defer back.Stop()
	a.Cli("wait", "--timeout", "60s")
	a.Want("f", "while it could not see")
}

// TestWaitKnowsWhoCameBack: a node that was just started, or is just linked again, is waited for.
func TestWaitKnowsWhoCameBack(t *testing.T) {
	l, a, b := two(t)
	same := func(step string) {
		t.Helper()
		if diff := lab.Compare(lab.Snapshot(t, a.Dir), lab.Snapshot(t, b.Dir)); diff != "" {
			t.Fatalf("%s:\n%s", step, diff)
		}
	}
	for round := range 4 {
		b.Stop()
		a.Write("f", fmt.Sprintf("a %d", round))
		b.Write("g", fmt.Sprintf("b %d", round))
		b.Up()
		b.Cli("wait", "--timeout", "60s")
		same("after wait on who was started")

		b.Kill()
		a.Write("f", fmt.Sprintf("a %d again", round))
		b.Write("g", fmt.Sprintf("b %d again", round))
		b.Up()
		a.Cli("wait", "--timeout", "60s")
		same("after wait on the other one")

		a.Cut(b)
		a.Write("f", fmt.Sprintf("a %d apart", round))
		b.Write("g", fmt.Sprintf("b %d apart", round))
		l.Heal()
		a.Cli("wait", "--timeout", "60s")
		same("after wait when the link is back")
	}
}

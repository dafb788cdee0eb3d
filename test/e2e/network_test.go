package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// online reports whether h sees the member of that id.
func online(h *lab.Host, id string) bool {
	for _, p := range h.Status().Pools {
		for _, m := range p.Members {
			if m.ID == id {
				return m.Online
			}
		}
	}
	return false
}

// Random partitions every two seconds, with edits on all sides.
func TestO_NT_1_RandomPartitions(t *testing.T) {
	l, a, b, c := three(t)
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	hosts := []*lab.Host{a, b, c}
	for round := range 10 {
		l.Heal()
		switch alone := dice.IntN(5); {
		case alone < 3:
			hosts[alone].Cut(hosts[(alone+1)%3], hosts[(alone+2)%3])
		case alone == 3:
			l.Split([]*lab.Host{a}, []*lab.Host{b}, []*lab.Host{c})
		}
		for _, h := range hosts {
			h.Write(fmt.Sprintf("%s-%d", h.Name, dice.IntN(6)), fmt.Sprintf("round %d", round))
		}
		time.Sleep(2 * time.Second)
	}
	l.Heal()
	healed := time.Now()
	l.EqualWithin(30*time.Second, a, b, c)
	t.Logf("equal %v after the last partition", time.Since(healed))
	a.WantConflicts(0) // each has written files of its own
}

// A long way that loses one packet in a hundred drops nobody, and keeps no edit
// waiting.
func TestO_NT_2_LongLossyWay(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	b.Far(200*time.Millisecond, 0.01)
	l.Pool(a, b)
	id, lost := b.ID(), 0
	slowest := time.Duration(0)
	const edits = 100
	for i := range edits {
		a.Write(fmt.Sprintf("f%d", i), "x")
		if i%10 == 9 { // each tenth is watched until it is there, and with it those before
			took := arrives(l, b, fmt.Sprintf("f%d", i), 15*time.Second)
			slowest = max(slowest, took)
			if !online(a, id) {
				lost++
			}
		}
	}
	l.Equal(a, b)
	t.Logf("%d edits to %s, the slowest took %v; it was missed %d times", edits, id, slowest, lost)
	if slowest > 5*time.Second || lost > 0 { // 3 s is the bar on a machine of its own
		t.Errorf("an edit took %v, and the link was lost %d times", slowest, lost)
	}
}

// A machine that stops for a while blocks nobody, is missed, and goes on where
// it was without a new start.
func TestO_NT_3_Suspended(t *testing.T) {
	l, a, b, c := three(t)
	id := a.ID()
	a.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	b.Write("by-b", "x")
	t.Logf("the others go on: %v", arrives(l, c, "by-b", 10*time.Second))
	for _, h := range []*lab.Host{b, c} {
		l.Until(40*time.Second-time.Since(stopped), h.Name+" misses the one that sleeps", func() error {
			if online(h, id) {
				return fmt.Errorf("it counts as online")
			}
			return nil
		})
	}
	t.Logf("missed after %v", time.Since(stopped))
	b.Write("while-asleep", "y")
	a.Write("on-disk", "z")
	a.Signal(syscall.SIGCONT)
	woken := time.Now()
	l.EqualWithin(10*time.Second, a, b, c)
	t.Logf("equal %v after it woke", time.Since(woken))
}

// No two members need a link of their own: changes and content go through
// others.
func TestO_NT_4_NoFullMesh(t *testing.T) {
	l, a, b, c := three(t)
	idA, idC := a.ID(), c.ID()
	a.Cut(c)
	l.Until(60*time.Second, "a and c miss each other", func() error {
		if online(a, idC) || online(c, idA) {
			return fmt.Errorf("they count as linked")
		}
		return nil
	})
	a.Put("big", string(lab.Noise(7, 4<<20)))
	t.Logf("4 MB through b in %v", arrives(l, c, "big", 20*time.Second))
	c.Write("back", "x")
	arrives(l, a, "back", 10*time.Second)
	l.Equal(a, b, c)
}

// A relay that dies while a file goes through it: the file goes on another way,
// from where it was.
func TestRelay_DiesMidTransfer(t *testing.T) {
	t.Parallel()
	n := newInternet(t, lab.Symmetric)
	n.founded()
	other := n.AddPublic("other")
	other.Up()
	other.Cli("join", n.home.Cli("invite", "-q"), other.Dir, "--timeout", "30s")
	n.join()
	n.linked(20*time.Second, n.office, n.home, "relayed")
	for _, h := range []*lab.Host{n.pub, other} { // only home has the file, and it takes a while
		h.Cli("pause")
		h.Cli("config", "set", "bandwidth.relay", "2MB")
	}
	n.home.Put("big", string(lab.Noise(9, 24<<20)))
	n.Until(30*time.Second, "a part of the file at the office", func() error {
		if in, _ := n.office.Wire(); in < 4<<20 {
			return fmt.Errorf("%d bytes so far", in)
		}
		return nil
	})
	if n.office.Exists("big") {
		t.Fatal("the file is there already: the relay's limit does nothing")
	}
	via := link(n.office, n.home).Addr
	t.Logf("through %s", via)
	relay, rest := n.pub, other
	if strings.Contains(via, "/"+other.IP+"/") {
		relay, rest = other, n.pub
	}
	relay.Kill()
	rest.Cli("resume")
	killed := time.Now()
	n.EqualWithin(90*time.Second, n.home, n.office, rest)
	in, _ := n.office.Wire()
	t.Logf("whole %v after the relay died, %.2f of its bytes came in", time.Since(killed), float64(in)/(24<<20))
	if in > 24<<20*13/10 {
		t.Errorf("%d bytes came in for a file of %d: it was begun anew", in, 24<<20)
	}
}

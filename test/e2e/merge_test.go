package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

const (
	mergeFiles = 5000
	mergeSame  = 4000
	mergeMost  = 2 << 20 // bytes on the wire, beyond what differs
)

// fill gives a host 5,000 files, of which those below mergeSame are the same
// for every seed, and some of the others bear names that all hosts have.
func fill(h *lab.Host, seed string) (differs int64) {
	for i := range mergeFiles {
		name, text := fmt.Sprintf("d%02d/f%04d", i%50, i), fmt.Sprintf("%04d common %s", i, strings.Repeat("x", i%400))
		if i >= mergeSame {
			text = seed + string(lab.Noise(uint64(i)<<8|uint64(seed[0]), 200)) // does not shrink on the way
			differs += int64(len(text))
			if i >= mergeSame+100 {
				name = fmt.Sprintf("%s/f%04d", seed, i)
			}
		}
		h.Put(name, text)
	}
	return differs
}

// Two pools of 5,000 files that never met, 4,000 of them equal, become one.
func TestMerge_TwoPoolsOfFiveThousand(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "c")
	a, c := l.Hosts[0], l.Hosts[1]
	differs := fill(a, "a") + fill(c, "c")
	for _, h := range l.Hosts {
		h.Cli("init", h.Dir, "--name", "of-"+h.Name)
		h.Up("--log-level", "warn")
	}
	for _, h := range l.Hosts {
		indexed(l, h, mergeFiles)
	}
	before := lab.Snapshot(t, c.Dir)
	in, out := c.Wire()
	c.Cli("pool", "merge", a.Cli("invite", "-q"), "--timeout", "60s")
	l.EqualWithin(120*time.Second, a, c)
	in2, out2 := c.Wire()
	used := in2 - in + out2 - out
	t.Logf("%d B on the wire, of which %d differ: %d B beyond", used, differs, used-differs)
	if used-differs > mergeMost {
		t.Errorf("%d B on the wire beyond what differs, at most %d", used-differs, mergeMost)
	}
	after := lab.Snapshot(t, c.Dir)
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("%s was deleted", name)
		}
	}
	c.WantConflicts(100)
	if n := c.Status().Pools[0].Files; n != mergeSame+2*(mergeFiles-mergeSame) {
		t.Errorf("%d files, want %d", n, mergeSame+2*(mergeFiles-mergeSame))
	}
}

// indexed waits until a host has looked at its n files.
func indexed(l *lab.Lab, h *lab.Host, n int64) {
	l.Until(120*time.Second, h.Name+" knows its files", func() error {
		p := h.Status().Pools[0]
		if p.Files != n || p.State == "scanning" || p.State == "starting" {
			return fmt.Errorf("%d files, %s", p.Files, p.State)
		}
		return nil
	})
}

// twoPools is two pools of two hosts each, and the ticket by which the second
// goes over to the first.
func twoPools(t *testing.T) (l *lab.Lab, a, b, c, d *lab.Host) {
	t.Parallel()
	l = lab.New(t, "a", "b", "c", "d")
	a, b, c, d = l.Hosts[0], l.Hosts[1], l.Hosts[2], l.Hosts[3]
	for i := range 40 {
		a.Put(fmt.Sprintf("of a/%d", i), "a")
		c.Put(fmt.Sprintf("of c/%d", i), "c")
	}
	l.Pool(a, b)
	l.Pool(c, d)
	return l, a, b, c, d
}

// The node that merges is killed again and again while it does, and a member
// of its pool is off until the end: all come together, and nothing is lost.
func TestMerge_KilledOnTheWay(t *testing.T) {
	l, a, b, c, d := twoPools(t)
	d.Stop()
	d.Put("of d", "edited while it was off")
	ticket := a.Cli("invite", "-q")
	for i := range 6 {
		cmd := c.Command(lab.Program, "pool", "merge", ticket, "-q")
		c.OK(cmd.Start())
		time.Sleep(time.Duration(20+60*i) * time.Millisecond) // somewhere on the way
		c.Kill()
		_ = cmd.Wait() // its node has gone
		c.Up()
	}
	l.Until(60*time.Second, "c is in a's pool", func() error {
		if s := c.Status(); len(s.Pools) != 1 || s.Pools[0].ID != a.Status().Pools[0].ID {
			return fmt.Errorf("%+v", s.Pools)
		}
		return nil
	})
	d.Up()
	l.Equal(a, b, c, d)
	for _, h := range l.Hosts {
		h.Want("of a/7", "a")
		h.Want("of c/7", "c")
		h.Want("of d", "edited while it was off")
		h.WantConflicts(0)
	}
}

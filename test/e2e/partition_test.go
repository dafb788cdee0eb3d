package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// four makes a pool of four.
func four(t *testing.T) (l *lab.Lab, a, b, c, d *lab.Host) {
	t.Helper()
	t.Parallel()
	l = lab.New(t, "a", "b", "c", "d")
	a, b, c, d = l.Hosts[0], l.Hosts[1], l.Hosts[2], l.Hosts[3]
	l.Pool(a, b, c, d)
	return l, a, b, c, d
}

// editAll has each host write files of its own: in place, since a name that all save under would be a file that both sides changed.
func editAll(hosts ...*lab.Host) {
	for _, h := range hosts {
		for i := range 5 {
			h.Put(fmt.Sprintf("%s-%d", h.Name, i), "by "+h.Name)
		}
	}
}

// healed lifts all cuts and checks that the hosts are equal within 10 s.
func healed(l *lab.Lab, hosts ...*lab.Host) {
	l.T.Helper()
	l.Heal()
	start := time.Now()
	want := len(lab.Snapshot(l.T, hosts[0].Dir))
	l.Until(10*time.Second, "equal folders", func() error {
		first := lab.Snapshot(l.T, hosts[0].Dir)
		want = len(first)
		for _, h := range hosts[1:] {
			if diff := lab.Compare(first, lab.Snapshot(l.T, h.Dir)); diff != "" {
				return fmt.Errorf("%s and %s differ:\n%s", hosts[0].Name, h.Name, diff)
			}
		}
		return nil
	})
	l.T.Logf("%d entries, equal %v after the cut was healed", want, time.Since(start))
	l.Equal(hosts...)
}

// apartFor keeps a cut up until each group has settled, and d longer.
func apartFor(l *lab.Lab, d time.Duration, groups ...[]*lab.Host) {
	l.T.Helper()
	for _, g := range groups {
		l.Until(20*time.Second, "the groups settle", func() error {
			for _, h := range g[1:] {
				if diff := lab.Compare(lab.Snapshot(l.T, g[0].Dir), lab.Snapshot(l.T, h.Dir)); diff != "" {
					return fmt.Errorf("%s", diff)
				}
			}
			return nil
		})
	}
	time.Sleep(d)
}

func TestPartition_TwoGroups(t *testing.T) {
	for _, d := range []time.Duration{0, 8 * time.Second, 45 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			l, a, b, c, dd := four(t)
			a.Put("both", "before")
			l.Equal(a, b, c, dd)
			l.Split([]*lab.Host{a, b}, []*lab.Host{c, dd})
			editAll(a, b, c, dd)
			a.Put("both", "by a")
			c.Put("both", "by c")
			apartFor(l, d, []*lab.Host{a, b}, []*lab.Host{c, dd})
			healed(l, a, b, c, dd)
			a.WantConflicts(1)
			if n := len(lab.Snapshot(t, dd.Dir)); n != 22 {
				t.Errorf("d has %d entries, want 22", n)
			}
			if d > 30*time.Second {
				reunited(l, a, b, c, dd)
			}
		})
	}
}

// reunited checks that status tells of the reunion, once.
func reunited(l *lab.Lab, hosts ...*lab.Host) {
	l.T.Helper()
	for _, h := range hosts {
		l.Until(15*time.Second, "notice of the reunion", func() error {
			n := 0
			for _, p := range h.Status().Pools {
				for _, s := range p.Notices {
					if strings.Contains(s, "apart") && strings.Contains(s, "1 file changed on both") {
						n++
					}
				}
			}
			if n != 1 {
				return fmt.Errorf("%s: %d notices in %+v", h.Name, n, h.Status().Pools)
			}
			return nil
		})
	}
}

func TestPartition_Chain(t *testing.T) {
	l, a, b, c := three(t)
	l.Split([]*lab.Host{a}, []*lab.Host{b}, []*lab.Host{c})
	editAll(a, b, c)
	apartFor(l, 5*time.Second, []*lab.Host{a}, []*lab.Host{b}, []*lab.Host{c})
	l.Heal()
	a.Cut(c)
	start := time.Now()
	l.Until(10*time.Second, "equal over b", func() error {
		if diff := lab.Compare(lab.Snapshot(t, a.Dir), lab.Snapshot(t, c.Dir)); diff != "" {
			return fmt.Errorf("%s", diff)
		}
		if n := len(lab.Snapshot(t, a.Dir)); n != 15 {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
	t.Logf("equal after %v", time.Since(start))
	a.Write("later", "x")
	t.Logf("over b in %v", arrives(l, c, "later", 10*time.Second))
}

func TestPartition_Flapping(t *testing.T) {
	l, a, b, c, d := four(t)
	end := time.Now().Add(60 * time.Second)
	for i := 0; time.Now().Before(end); i++ {
		if i%2 == 0 {
			l.Split([]*lab.Host{a, b}, []*lab.Host{c, d})
		} else {
			l.Heal()
		}
		for _, h := range []*lab.Host{a, b, c, d} {
			h.Write(fmt.Sprintf("%s-%d", h.Name, i), "x")
		}
		time.Sleep(time.Duration(1+i%4) * time.Second)
	}
	healed(l, a, b, c, d)
	a.WantConflicts(0)
}

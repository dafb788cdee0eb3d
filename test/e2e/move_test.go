package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// arrives waits for a file.
func arrives(l *lab.Lab, h *lab.Host, name string, limit time.Duration) time.Duration {
	l.T.Helper()
	start := time.Now()
	l.Until(limit, name+" on "+h.Name, func() error {
		if !h.Exists(name) {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	return time.Since(start)
}

func TestMove_NewLease(t *testing.T) {
	l, a, b := two(t)
	a.Put("before", "x")
	l.Equal(a, b)
	time.Sleep(6 * time.Second) // the first link is an old one by now
	a.Readdress("10.77.0.77")
	a.Put("after", "x")
	t.Logf("after %v", arrives(l, b, "after", 15*time.Second))
	b.Put("back", "y")
	t.Logf("back %v", arrives(l, a, "back", 15*time.Second))
}

func TestMove_BothGetNewLeases(t *testing.T) {
	l, a, b := two(t)
	a.Readdress("10.77.0.77")
	b.Readdress("10.77.0.78")
	a.Put("after", "x")
	t.Logf("after %v", arrives(l, b, "after", 15*time.Second))
}

func TestMove_FromTheOfficeToAnotherNetwork(t *testing.T) {
	t.Parallel()
	n := newInternet(t, lab.Cone)
	n.founded()
	n.join()
	n.linked(10*time.Second, n.office, n.home, "direct")
	n.AddRouter(lab.Cone).Connect(n.office)
	n.office.Put("moved", "x")
	t.Logf("at home %v after the move", arrives(n.Lab, n.home, "moved", 15*time.Second))
	n.home.Put("answer", "y")
	t.Logf("answer %v", arrives(n.Lab, n.office, "answer", 15*time.Second))
	n.linked(15*time.Second, n.office, n.home, "direct")
}

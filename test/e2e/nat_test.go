package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// internet is a member with a public address, and one at home and one in the
// office behind routers. The member at home has founded the pool.
type internet struct {
	*lab.Lab
	pub, home, office *lab.Host
	atHome, atOffice  *lab.Router
}

func newInternet(t *testing.T, kind lab.NAT) internet {
	l := lab.New(t)
	n := internet{Lab: l, pub: l.AddPublic("pub"), atHome: l.AddRouter(kind), atOffice: l.AddRouter(kind)}
	n.home, n.office = n.atHome.AddHost("home"), n.atOffice.AddHost("office")
	return n
}

// link is how h is linked to other.
func link(h, other *lab.Host) (l struct{ Kind, Transport, Addr string }) {
	id := other.ID()
	for _, p := range h.Status().Pools {
		for _, m := range p.Members {
			if m.ID == id {
				return m.Link
			}
		}
	}
	return l
}

// linked waits until h is linked to other in a given way.
func (n internet) linked(limit time.Duration, h, other *lab.Host, kind string) {
	n.T.Helper()
	n.Until(limit, kind+" link", func() error {
		if l := link(h, other); l.Kind != kind {
			return fmt.Errorf("%+v", l)
		}
		return nil
	})
}

// founded has home make the pool and the public member join it.
func (n internet) founded() {
	n.T.Helper()
	n.pub.Up()
	n.home.Cli("init", n.home.Dir, "--name", "home")
	n.home.Up()
	for _, a := range n.pub.Addrs() {
		n.home.Cli("peer", "add", a)
	}
	ticket := n.home.Cli("invite", "-q")
	n.pub.Cli("join", ticket, n.pub.Dir, "--timeout", "30s")
	n.Equal(n.home, n.pub)
	n.Until(30*time.Second, "home is reachable through pub", func() error {
		if all := strings.Join(n.home.Addrs(), " "); !strings.Contains(all, "p2p-circuit") {
			return fmt.Errorf("%s", all)
		}
		return nil
	})
}

func TestNAT_HomeAndOfficeDirectly(t *testing.T) {
	n := newInternet(t, lab.Cone)
	n.founded()
	n.home.Put("big", string(lab.Noise(1, 20<<20)))
	n.Equal(n.home, n.pub)
	n.office.Up()
	ticket := n.home.Cli("invite", "-q")
	n.office.Cli("join", ticket, n.office.Dir, "--timeout", "30s")
	joined := time.Now()
	n.Until(20*time.Second, "20 MB at the office", func() error {
		if got := len(n.office.Read("big")); got != 20<<20 {
			return fmt.Errorf("%d bytes", got)
		}
		return nil
	})
	t.Logf("20 MB %v after the join", time.Since(joined))
	if took := time.Since(joined); took > 5*time.Second {
		t.Errorf("it took %v, want 5 s", took)
	}
	n.linked(5*time.Second, n.office, n.home, "direct")
	t.Logf("%+v", link(n.office, n.home))
	n.Equal(n.home, n.office)
}

// join lets the office in by a ticket of home's and waits until it has all.
func (n internet) join() {
	n.T.Helper()
	n.office.Up()
	n.office.Cli("join", n.home.Cli("invite", "-q"), n.office.Dir, "--timeout", "30s")
}

func TestNAT_TCPAlone(t *testing.T) {
	n := newInternet(t, lab.Cone)
	n.atHome.Block("udp")
	n.atOffice.Block("udp")
	n.direct("tcp")
}

func TestNAT_QUICAlone(t *testing.T) {
	n := newInternet(t, lab.Cone)
	n.atHome.Block("tcp")
	n.atOffice.Block("tcp")
	n.direct("quic-v1")
}

// direct has the office join and checks that it gets all from home directly.
func (n internet) direct(transport string) {
	t := n.T
	t.Helper()
	n.founded()
	n.home.Put("big", string(lab.Noise(2, 20<<20)))
	n.Equal(n.home, n.pub)
	n.join()
	joined := time.Now()
	n.linked(5*time.Second, n.office, n.home, "direct")
	n.Equal(n.home, n.office)
	took, l := time.Since(joined), link(n.office, n.home)
	t.Logf("equal %v after the join; %+v", took, l)
	if took > 5*time.Second || l.Transport != transport {
		t.Errorf("want a link over %s, and all within 5 s", transport)
	}
}

func TestNAT_GoesOnWithoutThePublicMember(t *testing.T) {
	t.Parallel()
	n := newInternet(t, lab.Cone)
	n.founded()
	n.join()
	n.linked(10*time.Second, n.office, n.home, "direct")
	n.pub.Kill()
	n.home.Put("later", string(lab.Noise(3, 20<<20)))
	arrives(n.Lab, n.office, "later", 10*time.Second)
	n.office.Put("back", "from the office")
	arrives(n.Lab, n.home, "back", 10*time.Second)
	n.linked(time.Second, n.office, n.home, "direct")
}

func TestNAT_SymmetricThroughTheMember(t *testing.T) {
	n := newInternet(t, lab.Symmetric)
	n.founded()
	n.join()
	n.linked(10*time.Second, n.office, n.home, "relayed")
	n.home.Put("f", "from home")
	n.EqualWithin(15*time.Second, n.home, n.office)
	var p struct {
		OK   bool
		Why  string
		Link struct{ Kind string }
	}
	n.office.JSON(&p, "ping", n.home.ID())
	if !p.OK || p.Link.Kind != "relayed" || p.Why == "" {
		t.Errorf("ping says %+v", p)
	}
	t.Logf("%+v", p)
	n.pub.Kill()
	n.home.Put("g", "while the relay is down")
	n.pub.Up()
	up := time.Now()
	n.linked(30*time.Second, n.office, n.home, "relayed")
	n.EqualWithin(30*time.Second, n.home, n.office)
	t.Logf("back %v after the relay", time.Since(up))
}

func TestNAT_FoundByIDAloneInADHT(t *testing.T) {
	t.Parallel()
	n := newInternet(t, lab.Cone)
	first := n.pub
	first.Up("--relay", "on", "--dht", "private", "--mdns", "off")
	entry := first.Addrs()
	for i := range 9 {
		h := n.AddPublic(fmt.Sprintf("n%d", i))
		h.Up("--relay", "on", "--dht", "private", "--mdns", "off", "--bootstrap", entry[0])
	}
	n.home.Cli("init", n.home.Dir, "--name", "home")
	n.home.Up("--bootstrap", entry[0])
	n.office.Up("--bootstrap", n.Hosts[len(n.Hosts)-1].Addrs()[0])
	n.Until(30*time.Second, "home is reachable through a relay", func() error {
		if all := strings.Join(n.home.Addrs(), " "); !strings.Contains(all, "p2p-circuit") {
			return fmt.Errorf("%s", all)
		}
		return nil
	})
	start := time.Now()
	done := make(chan lab.Result, 1)
	go func() { done <- n.office.Try("join", n.home.ID(), n.office.Dir, "--timeout", "40s") }()
	n.Until(30*time.Second, "the request", func() error {
		if r := n.home.Try("requests", "--json"); !strings.Contains(r.Out, n.office.ID()) {
			return fmt.Errorf("%s%s", r.Out, r.Err)
		}
		return nil
	})
	t.Logf("found after %v", time.Since(start))
	n.sameWords()
	n.home.Cli("approve", n.office.ID())
	if r := <-done; r.Code != 0 {
		t.Fatalf("join: %+v\n%s", r, n.Logs())
	}
	n.home.Put("f", "hello")
	n.EqualWithin(30*time.Second, n.home, n.office)
	n.linked(20*time.Second, n.office, n.home, "direct")
}

// sameWords waits until the one who asks and the one who is asked show the same
// four words.
func (n internet) sameWords() {
	n.T.Helper()
	n.Until(20*time.Second, "the same words on both screens", func() error {
		var there struct{ Words []string }
		n.home.JSON(&there, "requests")
		var here struct{ Joining []struct{ Words []string } }
		n.office.JSON(&here, "status")
		if len(here.Joining) != 1 || len(there.Words) != 4 || !slices.Equal(here.Joining[0].Words, there.Words) {
			return fmt.Errorf("home shows %v, office %v", there.Words, here.Joining)
		}
		n.T.Logf("both show %v", there.Words)
		return nil
	})
}

package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// blindTicket makes a pool on h, whose node is off, and a ticket that says
// nothing of where h is.
func blindTicket(h *lab.Host, uses int) string {
	h.Cli("init", h.Dir, "--name", "home")
	return h.Cli("invite", "-q", "--uses", strconv.Itoa(uses))
}

// onceEach checks that a host lists each of a pool's n members once, and that
// it has one link to each.
func onceEach(l *lab.Lab, n int, hosts ...*lab.Host) {
	l.T.Helper()
	for _, h := range hosts {
		l.Until(20*time.Second, h.Name+" lists everybody once, with one link to each", func() error { return listed(h, n) })
	}
}

func listed(h *lab.Host, n int) error {
	seen := map[string]int{}
	for _, line := range strings.Split(h.Cli("peer", "ls", "--json"), "\n") {
		var m struct {
			ID     string
			Online bool
			Self   bool
			Link   struct{ Count int }
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return fmt.Errorf("%w in %s", err, line)
		}
		if !m.Online || !m.Self && m.Link.Count != 1 {
			return fmt.Errorf("%s", line)
		}
		seen[m.ID]++
	}
	for id, times := range seen {
		if times != 1 {
			return fmt.Errorf("%s is listed %d times", id, times)
		}
	}
	if len(seen) != n {
		return fmt.Errorf("%d members are listed, want %d", len(seen), n)
	}
	return nil
}

var counted = regexp.MustCompile(`counter packets (\d+) bytes (\d+)`)

// countMDNS has a host count the multicast DNS packets that it sends.
func countMDNS(h *lab.Host) { h.Nft("add rule inet cut out udp dport 5353 counter") }

func mdnsSent(l *lab.Lab, h *lab.Host) (packets int) {
	l.T.Helper()
	out, err := h.Command("nft", "list", "chain", "inet", "cut", "out").CombinedOutput()
	m := counted.FindStringSubmatch(string(out))
	if err != nil || m == nil {
		l.T.Fatalf("no counter: %v: %s", err, out)
	}
	packets, _ = strconv.Atoi(m[1]) // the expression matches digits
	return packets
}

// With tickets that name no address, no --peer and no DHT, mDNS alone brings
// nodes together.
func TestMDNS_IsEnoughForFour(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b", "c", "d")
	a, b := l.Hosts[0], l.Hosts[1]
	ticket := blindTicket(a, 3)
	a.Write("f", "by a")
	a.Up()
	b.Up()
	b.Cli("join", ticket, b.Dir, "--timeout", "30s")
	l.Equal(a, b)
	onceEach(l, 2, a, b)
	for _, h := range l.Hosts[2:] {
		h.Up()
		h.Cli("join", ticket, h.Dir, "--timeout", "30s")
		h.Write("by-"+h.Name, h.Name)
	}
	l.Equal(l.Hosts...)
	onceEach(l, 4, l.Hosts...)
	for _, h := range l.Hosts {
		countMDNS(h)
	}
	quiet(l, 12*time.Second)
	otherPorts(l)
}

// quiet checks that nobody asks on the LAN while nobody is missed.
func quiet(l *lab.Lab, d time.Duration) {
	l.T.Helper()
	time.Sleep(d / 2) // what was on its way
	before := 0
	for _, h := range l.Hosts {
		before += mdnsSent(l, h)
	}
	time.Sleep(d)
	after := 0
	for _, h := range l.Hosts {
		after += mdnsSent(l, h)
	}
	l.T.Logf("%d mDNS packets in %v with all members linked", after-before, d)
	if after > before {
		l.T.Errorf("%d mDNS packets were sent while nobody was missed", after-before)
	}
}

// otherPorts restarts nodes on ports that nobody knows: they are found again by
// asking, and still nobody is listed twice.
func otherPorts(l *lab.Lab) {
	l.T.Helper()
	for i, h := range l.Hosts[:2] {
		if code := h.Stop(); code != 0 {
			l.T.Errorf("%s: exit %d", h.Name, code)
		}
		port := strconv.Itoa(8000 + i)
		h.Up("--listen", "/ip4/0.0.0.0/tcp/"+port, "--listen", "/ip4/0.0.0.0/udp/"+port+"/quic-v1")
	}
	onceEach(l, 4, l.Hosts...)
	sent := 0
	for _, h := range l.Hosts {
		sent += mdnsSent(l, h)
	}
	if sent == 0 {
		l.T.Error("nobody asked on the LAN for those who were missed")
	}
	l.Hosts[0].Write("later", "x")
	l.Equal(l.Hosts...)
}

// Members remember where the others were: without mDNS, DHT and --peer they
// find each other when all of them have been off.
func TestMembers_AreFoundWhereTheyWere(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b", "c")
	for _, h := range l.Hosts {
		h.Args = []string{"--mdns", "off", "--dht", "off"}
	}
	l.Pool(l.Hosts...)
	onceEach(l, 3, l.Hosts...)
	for _, h := range l.Hosts {
		h.Kill()
	}
	for _, h := range l.Hosts {
		h.Up()
		h.Write("again-"+h.Name, h.Name)
	}
	l.Equal(l.Hosts...)
	onceEach(l, 3, l.Hosts...)
}

// A ticket is good while the one who made it sleeps, and although it names only
// him: a keeper whom mDNS finds honours it, also one that has just moved.
func TestMDNS_AKeeperThatMovedLetsOthersIn(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b", "c")
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	a.Cli("init", a.Dir, "--name", "home")
	a.Up()
	b.Up()
	b.Cli("join", a.Cli("invite", "-q", "--role", "keeper"), b.Dir, "--timeout", "30s")
	l.Equal(a, b)
	ticket := a.Cli("invite", "-q")
	a.Kill()
	b.Readdress("10.77.0.99")
	c.Up()
	start := time.Now()
	if r := c.Try("join", ticket, c.Dir, "--timeout", "30s"); r.Code != 0 {
		t.Fatalf("join: %+v\n%s", r, l.Logs())
	}
	t.Logf("joined after %v", time.Since(start))
}

package node

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
)

// fakeRouter maps everything to one address, or nothing.
type fakeRouter struct {
	mapped       ma.Multiaddr
	open, closed int
}

func (f *fakeRouter) GetMapping(ma.Multiaddr) ma.Multiaddr { return f.mapped }
func (f *fakeRouter) HasDiscoveredNAT() bool               { return f.open > f.closed }
func (f *fakeRouter) Close() error                         { f.closed++; return nil }

// A laptop that is carried to another network, or got one only after the start,
// asks the router there.
func TestRouterIsAskedAgainInAnotherNetwork(t *testing.T) {
	router := &fakeRouter{}
	m := newMapper()
	m.make = func(network.Network) basichost.NATManager { router.open++; return router }
	_ = m.of(nil)
	at := localAddrs()
	for _, step := range []struct {
		name  string
		addrs []string
		asked int
	}{
		{"the same", at, 1},
		{"another one of IPv6", append([]string{"2001:db8::1/64"}, at...), 1},
		{"another network", []string{"192.168.77.5/24"}, 2},
		{"the same again", []string{"192.168.77.5/24"}, 2},
		{"none", nil, 3},
	} {
		m.Moved(step.addrs)
		if router.open != step.asked || router.closed != step.asked-1 {
			t.Errorf("%s: the router was asked %d times and left %d times, want %d and one less", step.name, router.open, router.closed, step.asked)
		}
	}
	if err := m.Close(); err != nil || router.closed != router.open {
		t.Errorf("Close = %v; %d of %d are closed", err, router.closed, router.open)
	}
}

func TestNetcheckSaysWhatTheRouterDid(t *testing.T) {
	listen := []ma.Multiaddr{mustAddr(t, "/ip4/0.0.0.0/tcp/7716")}
	for name, c := range map[string]struct {
		router *fakeRouter
		want   int
		advice string
	}{
		"no answer": {&fakeRouter{}, mapNone, ""},
		"refused":   {&fakeRouter{open: 1}, mapRefused, "did not"},
		"two routers": {
			&fakeRouter{open: 1, mapped: mustAddr(t, "/ip4/10.0.0.7/tcp/7716")}, mapInside, "another router in front",
		},
		"mapped": {&fakeRouter{open: 1, mapped: mustAddr(t, "/ip4/11.0.1.1/tcp/7716")}, mapPublic, ""},
	} {
		m := newMapper()
		m.make = func(network.Network) basichost.NATManager { return c.router }
		_ = m.of(nil)
		got := m.outcome(listen)
		advice := strings.Join(NetInfo{Reachability: "unknown", Multicast: true}.advise(DefaultPort, got), "; ")
		if got != c.want || c.advice == "" && advice != "" || !strings.Contains(advice, c.advice) {
			t.Errorf("%s: %d, %q; want %d, %q", name, got, advice, c.want, c.advice)
		}
	}
	var none *mapper
	if none.Moved(nil); none.outcome(listen) != mapNone {
		t.Error("a node that asks no router has an answer of one")
	}
}

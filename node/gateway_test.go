package node

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	ma "github.com/multiformats/go-multiaddr"
)

// fakeGate is a gateway that opens the port above the one asked for.
type fakeGate struct {
	mu    sync.Mutex
	lives time.Duration
	open  map[openedPort]bool
}

func (f *fakeGate) Open(port openedPort, life, _ time.Duration) (netip.AddrPort, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[port] = true
	if life == 0 {
		delete(f.open, port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("11.0.0.7"), port.number+1), f.lives, nil
}

func TestPortsAreKeptOpen(t *testing.T) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/0.0.0.0/tcp/0"), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close() //nolint:errcheck // the test is over
	gate := &fakeGate{lives: time.Hour, open: map[openedPort]bool{}}
	p := newPortKeeper(h.Network(), gate)
	addrs := h.Network().ListenAddresses()
	at := addrs[slices.IndexFunc(addrs, func(a ma.Multiaddr) bool { _, _, ok := mappable(a); return ok })]
	inner, _, _ := mappable(at)
	want := mustAddr(t, fmt.Sprintf("/ip4/11.0.0.7/tcp/%d", inner.number+1))
	for late := time.After(10 * time.Second); !want.Equal(orNone(p.GetMapping(at))); {
		select {
		case <-late:
			t.Fatalf("%v is mapped to %v, want %v", at, p.GetMapping(at), want)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := p.Close(); err != nil || len(gate.open) != 0 {
		t.Errorf("Close = %v, and %v stay open", err, gate.open)
	}
}

func TestLeaseThatIsOverIsNoMapping(t *testing.T) {
	p := &portKeeper{gate: &fakeGate{open: map[openedPort]bool{}}, open: map[openedPort]lease{}}
	p.ask(openedPort{"tcp", 7716})
	if got := p.GetMapping(mustAddr(t, "/ip4/0.0.0.0/tcp/7716")); got != nil {
		t.Errorf("mapped to %v after the lease", got)
	}
}

func TestPortsThatAGatewayCanOpen(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/0.0.0.0/tcp/7716":                      "tcp",
		"/ip4/192.168.1.2/udp/7716/quic-v1":          "udp /quic-v1",
		"/ip4/127.0.0.1/tcp/7716":                    "none",
		"/ip6/::/tcp/7716":                           "none",
		"/ip4/0.0.0.0/tcp/0":                         "none",
		"/dns4/home.example.org/tcp/7716":            "none",
		"/ip4/192.168.1.2":                           "none",
		"/ip4/192.168.1.2/udp/1/quic-v1/p2p-circuit": "udp /quic-v1/p2p-circuit",
	} {
		port, rest, ok := mappable(mustAddr(t, addr))
		got := port.protocol
		if len(rest) > 0 {
			got += " " + rest.String()
		}
		if !ok {
			got = "none"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func orNone(a ma.Multiaddr) ma.Multiaddr {
	if a == nil {
		return ma.Multiaddr{}
	}
	return a
}

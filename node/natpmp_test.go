package node

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	natpmp "github.com/jackpal/go-nat-pmp"
	"github.com/libp2p/go-libp2p"
	ma "github.com/multiformats/go-multiaddr"
)

// fakePMP is a gateway that opens the port above the one asked for, unless it is mute.
type fakePMP struct {
	mu    sync.Mutex
	mute  bool
	lives uint32
	open  map[string]int // protocol to inner port
}

var errMute = errors.New("no answer")

func (f *fakePMP) GetExternalAddress() (*natpmp.GetExternalAddressResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute {
		return nil, errMute
	}
	return &natpmp.GetExternalAddressResult{ExternalIPAddress: [4]byte{11, 0, 0, 7}}, nil
}

func (f *fakePMP) AddPortMapping(protocol string, internal, external, seconds int) (*natpmp.AddPortMappingResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute {
		return nil, errMute
	}
	f.open[protocol] = internal
	if seconds == 0 {
		delete(f.open, protocol)
	}
	return &natpmp.AddPortMappingResult{MappedExternalPort: uint16(external + 1), PortMappingLifetimeInSeconds: f.lives}, nil
}

func TestPortsAreKeptOpenByNATPMP(t *testing.T) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/0.0.0.0/tcp/0"), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close() //nolint:errcheck // the test is over
	gate := &fakePMP{lives: 600, open: map[string]int{}}
	p, err := newPMP(h.Network(), gate, gate)
	if err != nil {
		t.Fatal(err)
	}
	addrs := h.Network().ListenAddresses()
	at := addrs[slices.IndexFunc(addrs, func(a ma.Multiaddr) bool { _, _, ok := pmpPortOf(a); return ok })]
	inner, _, _ := pmpPortOf(at)
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
	gate := &fakePMP{lives: 0, open: map[string]int{}}
	p := &pmp{router: gate, hurry: gate, stop: func() {}, open: map[openedPort]lease{}}
	p.ask(openedPort{"tcp", 7716})
	if got := p.GetMapping(mustAddr(t, "/ip4/0.0.0.0/tcp/7716")); got != nil {
		t.Errorf("mapped to %v after the lease", got)
	}
}

func TestMuteGatewayIsNone(t *testing.T) {
	gate := &fakePMP{mute: true}
	if p, err := newPMP(nil, gate, gate); !errors.Is(err, errMute) {
		t.Errorf("newPMP = %v, %v, want that nobody answers", p, err)
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
		port, rest, ok := pmpPortOf(mustAddr(t, addr))
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

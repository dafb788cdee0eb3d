package node

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// mapper asks the router to map this node's ports (UPnP, NAT-PMP). libp2p looks
// for a router once, when the host starts: a mapper looks anew when the machine
// has come to another network. Make it with new and give of to the host.
type mapper struct {
	net  network.Network
	make func(network.Network) basichost.NATManager

	mu  sync.Mutex
	now basichost.NATManager
	at  []string // the machine's IPv4 addresses when the router was looked for
}

func newMapper() *mapper { return &mapper{make: newAnyRouter} }

// of begins to look for a router; the host closes what it returns.
func (m *mapper) of(n network.Network) basichost.NATManager {
	m.net, m.now, m.at = n, m.make(n), ipv4Of(localAddrs())
	return m
}

// Moved looks for a router anew where the machine's IPv4 addresses are others
// than before. A nil mapper never does.
func (m *mapper) Moved(addrs []string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := ipv4Of(addrs)
	if m.now == nil || slices.Equal(at, m.at) {
		return
	}
	_ = m.now.Close() // it cannot fail
	m.now, m.at = m.make(m.net), at
}

func (m *mapper) current() basichost.NATManager {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// GetMapping is where a listen address is to be reached, or nil.
func (m *mapper) GetMapping(a ma.Multiaddr) ma.Multiaddr {
	if now := m.current(); now != nil {
		return now.GetMapping(a)
	}
	return nil
}

// HasDiscoveredNAT reports whether a router answered.
func (m *mapper) HasDiscoveredNAT() bool {
	now := m.current()
	return now != nil && now.HasDiscoveredNAT()
}

// Close takes the mappings back.
func (m *mapper) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil {
		return nil
	}
	err := m.now.Close()
	m.now = nil
	return err
}

// Kinds of answers of a router that is asked for ports.
const (
	mapNone    = iota
	mapRefused // it answered, and mapped nothing
	mapInside  // it mapped ports of an address that is not public either
	mapPublic
)

// outcome says what came of it for the addresses listened to.
func (m *mapper) outcome(listen []ma.Multiaddr) int {
	if m == nil || !m.HasDiscoveredNAT() {
		return mapNone
	}
	best := mapRefused
	for _, a := range listen {
		switch out := m.GetMapping(a); {
		case out == nil:
		case manet.IsPublicAddr(out):
			return mapPublic
		default:
			best = mapInside
		}
	}
	return best
}

// ipv4Of are the IPv4 addresses among those of a machine.
func ipv4Of(addrs []string) (out []string) {
	for _, s := range addrs {
		if p, err := netip.ParsePrefix(s); err == nil && p.Addr().Is4() && !strings.HasPrefix(s, "169.254.") {
			out = append(out, s)
		}
	}
	return out
}

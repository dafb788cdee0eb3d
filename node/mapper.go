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

// mapper asks the router to map this node's ports (PCP, NAT-PMP, UPnP). libp2p looks
// for a router once, when the host starts: a mapper looks anew when the machine
// has come to another network. Make it with new and give of to the host.
type mapper struct {
	net  network.Network
	make func(network.Network) basichost.NATManager

	nowRouter
	at []string // the machine's IPv4 addresses when the router was looked for
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
	if old := m.renewed(ipv4Of(addrs)); old != nil {
		_ = old.Close() // it cannot fail, and may ask a router that is gone: the new one is not kept from answering
	}
}

// renewed is the router of the network before, where at are other addresses
// than there; another is looked for.
func (m *mapper) renewed(at []string) (old basichost.NATManager) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil || slices.Equal(at, m.at) {
		return nil
	}
	old, m.now, m.at = m.now, m.make(m.net), at
	return old
}

// Close takes the mappings back.
func (m *mapper) Close() error { return m.closeNow() }

// nowRouter is the router that is asked at present, if any.
type nowRouter struct {
	mu  sync.Mutex
	now basichost.NATManager
}

func (r *nowRouter) current() basichost.NATManager {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// GetMapping is where a listen address is to be reached, or nil.
func (r *nowRouter) GetMapping(a ma.Multiaddr) ma.Multiaddr {
	if now := r.current(); now != nil {
		return now.GetMapping(a)
	}
	return nil
}

// HasDiscoveredNAT reports whether a router answered.
func (r *nowRouter) HasDiscoveredNAT() bool {
	now := r.current()
	return now != nil && now.HasDiscoveredNAT()
}

func (r *nowRouter) closeNow() error {
	r.mu.Lock()
	now := r.now
	r.now = nil
	r.mu.Unlock()
	if now == nil {
		return nil
	}
	return now.Close()
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

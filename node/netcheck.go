package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	manet "github.com/multiformats/go-multiaddr/net"
)

// SchemaNet names the answer of netcheck.
const SchemaNet = "meerkat.net/v1"

// NetInfo is what this network allows, as far as the node has found out.
type NetInfo struct {
	Schema       string      `json:"schema"`
	Reachability string      `json:"reachability"` // "public", "private" or "unknown"
	NAT          string      `json:"nat"`          // "none", "easy", "symmetric" or "unknown"
	UDP          string      `json:"udp"`          // "works", "blocked" or "unknown"
	IPv6         bool        `json:"ipv6"`         // there is a public IPv6 address here
	PortMapping  bool        `json:"port_mapping"` // the router has mapped a port
	Multicast    bool        `json:"multicast"`    // an interface that mDNS can use
	SeenAs       []string    `json:"seen_as"`      // public addresses that peers saw
	Relays       []RelayInfo `json:"relays"`       // that hold a place for this node
	Relaying     string      `json:"relaying"`     // for "nobody", "members" or "everybody"
	DHT          string      `json:"dht"`          // "off", "private" or "public"
	DHTPeers     int         `json:"dht_peers"`
	Unanswered   []string    `json:"unanswered"` // addresses of --peer and --bootstrap where nobody is linked
	Advice       []string    `json:"advice"`
}

// RelayInfo is a relay that others reach this node through.
type RelayInfo struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Limited bool   `json:"limited"` // it carries no files, only the start of a direct link
}

// Netcheck says what this network allows, and what would help.
func (n *Node) Netcheck(context.Context) (NetInfo, error) {
	out, mapped := n.nat.out, n.mapper.outcome(n.host.Network().ListenAddresses())
	i := NetInfo{
		Schema: SchemaNet, Reachability: out.Reachability(), NAT: out.NAT(), UDP: n.udp(),
		IPv6: hasPublicIPv6(), PortMapping: mapped == mapPublic, Multicast: hasMulticast(),
		SeenAs: []string{}, Relays: []RelayInfo{}, Advice: []string{}, DHT: "off",
		Relaying: [...]string{relayNone: "nobody", relayMembers: "members", relayOpen: "everybody"}[n.relayMode()],
	}
	for _, s := range out.sightings() {
		if a := s.addr.String(); !slices.Contains(i.SeenAs, a) {
			i.SeenAs = append(i.SeenAs, a)
		}
	}
	for p, limited := range n.nat.berths.Relays() {
		i.Relays = append(i.Relays, RelayInfo{ID: p.String(), Name: n.nameOf(p), Limited: limited})
	}
	slices.SortFunc(i.Relays, func(a, b RelayInfo) int { return strings.Compare(a.ID, b.ID) })
	if f := n.nat.find; f != nil {
		i.DHT, i.DHTPeers = f.kind(), len(f.Known())
	}
	i.Unanswered = n.links.unanswered()
	i.Advice = i.advise(n.port(), mapped)
	return i, nil
}

// advise derives from the facts what one person could change.
func (i NetInfo) advise(port, mapped int) []string {
	out := []string{}
	if len(i.Unanswered) > 0 {
		out = append(out, "nobody is linked at "+strings.Join(i.Unanswered, ", ")+": check these addresses of --peer and --bootstrap, and whether a node runs there")
	}
	if i.Reachability == "public" {
		return out
	}
	if i.UDP == "blocked" {
		out = append(out, "this network drops UDP: let it out, so that QUIC can cross routers")
	}
	switch mapped {
	case mapRefused:
		out = append(out, fmt.Sprintf("the router was asked to open port %d and did not: allow it there (UPnP, PCP, NAT-PMP), or forward the port by hand", port))
	case mapInside:
		out = append(out, "the router opened a port, but has no public address itself: there is another router in front of it, often the provider's; forward the port there as well, or ask for a public address")
	}
	if i.NAT == natSymmetric {
		out = append(out, fmt.Sprintf("the router gives every destination another port: forward port %d (TCP and UDP) to this machine, or switch on UPnP", port))
	}
	if i.Reachability == "private" && len(i.Relays) == 0 {
		out = append(out, `nobody relays for this node: run a member with "--relay on" on a machine with a public address, or forward a port`)
	}
	if !i.Multicast {
		out = append(out, "no interface carries multicast: members on this LAN are not found by themselves; name one with --peer")
	}
	return out
}

// udp says whether UDP gets out, by what came of QUIC to public nodes.
func (n *Node) udp() string {
	for _, s := range n.nat.out.sightings() {
		if transportOf(s.addr) == "quic-v1" {
			return "works"
		}
	}
	for _, c := range n.host.Network().Conns() {
		if transportOf(c.RemoteMultiaddr()) == "quic-v1" {
			return "works"
		}
	}
	if n.nat.out.quicFails() {
		return "blocked"
	}
	return "unknown"
}

func hasPublicIPv6() bool {
	for _, s := range localAddrs() {
		p, err := netip.ParsePrefix(s)
		if err != nil || !p.Addr().Is6() || p.Addr().Is4In6() {
			continue
		}
		if a, err := manet.FromIP(net.IP(p.Addr().AsSlice())); err == nil && manet.IsPublicAddr(a) {
			return true
		}
	}
	return false
}

func hasMulticast() bool {
	all, err := net.Interfaces()
	const need = net.FlagUp | net.FlagMulticast
	return err == nil && slices.ContainsFunc(all, func(i net.Interface) bool {
		return i.Flags&need == need && i.Flags&net.FlagLoopback == 0
	})
}

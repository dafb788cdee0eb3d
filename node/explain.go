package node

import (
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// explain says in plain words why a link is not direct, and what one change
// would make it so.
func (n *Node) explain(p peer.ID, l Link) Link {
	switch l.Kind {
	case "relayed":
		l.Why, l.Hint = n.whyRelayed(p, l)
	case "none":
		l.Why, l.Hint = n.whyAbsent(p)
	}
	return l
}

func (n *Node) whyRelayed(p peer.ID, l Link) (why, hint string) {
	via, out := "", n.nat.out
	if r := relayOf(l.Addr); r != "" {
		via = "through " + n.nameOf(r) + ": "
	}
	why, hint = relayCause{
		nat: out.NAT(), udp: n.udp(), seen: len(out.PunchAddrs()) > 0, remapped: out.remapped(),
		punch: n.nat.punch.Why(p), port: n.port(),
	}.say()
	return via + why, hint
}

// relayCause is what is known of why a link is relayed.
type relayCause struct {
	nat, udp       string
	seen, remapped bool   // at a public address; by another port than the packets left by
	punch          string // what the newest punch said
	port           int
}

// say gives the cause in plain words, and the one change that would help.
func (c relayCause) say() (why, hint string) {
	hint = fmt.Sprintf("forward port %d (TCP and UDP) to one of the two nodes in its router, or switch on UPnP there", c.port)
	switch {
	case c.nat == natSymmetric:
		return "the router here gives every destination another port (a symmetric NAT), so no hole can be punched from outside", hint
	case !c.seen:
		return "nobody has told this node its public address yet", "wait a moment, or give a public node with --peer"
	case c.udp == "blocked":
		return "this network drops UDP, and over TCP alone no direct link came about", "let UDP out of this network, or " + hint
	case strings.Contains(c.punch, "any public addresses"), strings.Contains(c.punch, "not supported"):
		return "the other side does not know its public address yet", "wait a moment"
	case c.punch != "":
		return "the routers let no direct link through, though it was tried", hint
	case c.remapped:
		return "the router here changes ports, as a symmetric NAT does, and let no direct link through", hint
	}
	return "a direct link has not come about yet; it is being tried", hint
}

func (n *Node) whyAbsent(p peer.ID) (why, hint string) {
	if len(n.host.Peerstore().Addrs(p)) == 0 {
		return "no address of it is known", "give one with \"meerkat peer add\", or a common --bootstrap node"
	}
	if last := n.links.Why(p); last != "" {
		return dialText(last), "is it running, and on a network that this one can reach?"
	}
	if !n.links.LastSeen(p).IsZero() {
		return "the link to it broke; it is being dialled again", "is it running, and on a network that this one can reach?"
	}
	return "it was not tried yet", "wait a moment"
}

// dialText says in plain words what came of dialling all addresses of a node.
func dialText(err string) string {
	for _, t := range []struct{ part, text string }{
		{"connection refused", "nothing listens at the address where it last was"},
		{"NO_RESERVATION", "it is not linked to the relay that it was reached through"},
		{"timeout", "no answer from any address where it was"},
		{"deadline", "no answer from any address where it was"},
		{"unreachable", "this network has no way to the addresses where it was"},
		{"no route", "this network has no way to the addresses where it was"},
	} {
		if strings.Contains(err, t.part) {
			return t.text
		}
	}
	return "none of its addresses could be dialled"
}

// relayOf is the relay that an address runs through.
func relayOf(addr string) peer.ID {
	a, err := ma.NewMultiaddr(addr)
	if err != nil || !isRelayed(a) {
		return ""
	}
	before, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	_, id := peer.SplitAddr(before)
	return id
}

// nameOf is what members call p.
func (n *Node) nameOf(p peer.ID) string {
	for _, r := range n.all() {
		if m, ok := r.st.Roster().Member(p); ok && m.Name != "" {
			return m.Name
		}
	}
	return p.String()
}

// port is the one that this node listens on.
func (n *Node) port() int {
	for _, a := range n.host.Network().ListenAddresses() {
		if p := portOf(a); p != 0 {
			return p
		}
	}
	return DefaultPort
}

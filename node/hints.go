package node

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/bwaklog/meerkat/pool"
)

// onLoopback reports whether a node with these listen addresses is met from
// its own machine alone.
func onLoopback(listen []string) bool {
	if len(listen) == 0 {
		return false
	}
	return !slices.ContainsFunc(listen, func(s string) bool {
		a, err := ma.NewMultiaddr(s)
		return err == nil && !manet.IsIPLoopback(a)
	})
}

// publicAddrs are the addresses worth telling members: loopback only where
// there is nothing else.
func (n *Node) publicAddrs() []string {
	var far, near []string
	for _, a := range n.host.Addrs() {
		switch {
		case manet.IsIPLoopback(a):
			near = append(near, a.String())
		case !isLinkLocal(a):
			far = append(far, a.String())
		}
	}
	if len(far) == 0 {
		return near
	}
	return far
}

func isLinkLocal(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	return err == nil && ip.IsLinkLocalUnicast()
}

// hints are the addresses for a ticket, as many as it holds: one on the LAN,
// then public ones, ways through relays, and a member with a public address
// that may let the joiner in while this node sleeps.
func (n *Node) hints() []string {
	byKind := map[int][]string{}
	for _, a := range n.host.Addrs() {
		if k := hintKind(a); k != hintNone {
			byKind[k] = append(byKind[k], a.String()+"/p2p/"+n.self.String())
		}
	}
	byKind[hintMember] = n.doorkeepers()
	return pickHints(byKind, pool.MaxAddrs)
}

const (
	hintNone = iota
	hintLAN
	hintPublic
	hintMember
	hintRelayed
	hintOther
	hintLoopback
)

func hintKind(a ma.Multiaddr) int {
	switch {
	case isRelayed(a):
		return hintRelayed
	case manet.IsIPLoopback(a):
		return hintLoopback
	case isLinkLocal(a):
		return hintNone
	case isLANTCP(a):
		return hintLAN
	case manet.IsPublicAddr(a):
		return hintPublic
	}
	return hintOther
}

// pickHints takes in turn one of each kind, until there are max. Loopback is
// taken only where there is nothing else.
func pickHints(byKind map[int][]string, most int) []string {
	var out []string
	for i := 0; len(out) < most; i++ {
		before := len(out)
		for k := hintLAN; k < hintLoopback; k++ {
			if i < len(byKind[k]) && len(out) < most {
				out = append(out, byKind[k][i])
			}
		}
		if len(out) == before {
			break
		}
	}
	if len(out) == 0 {
		out = byKind[hintLoopback][:min(len(byKind[hintLoopback]), most)]
	}
	return out
}

// doorkeepers are public addresses of members that may admit: the one that
// this node is linked to by it, or that it was told of.
func (n *Node) doorkeepers() []string {
	var out []string
	for _, r := range n.all() {
		for _, m := range r.st.Roster().Members() {
			if m.ID == n.self || !m.Role.Admits() {
				continue
			}
			if a := publicAddr(n.host.Peerstore().Addrs(m.ID)); a != nil {
				out = append(out, peerAddr(a, m.ID))
			}
		}
	}
	return out
}

func publicAddr(addrs []ma.Multiaddr) ma.Multiaddr {
	for _, a := range addrs {
		if !isRelayed(a) && manet.IsPublicAddr(a) {
			return a
		}
	}
	return nil
}

// peerAddr is an address that says whom it leads to.
func peerAddr(a ma.Multiaddr, p peer.ID) string { return a.String() + "/p2p/" + p.String() }

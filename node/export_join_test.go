package node

import "github.com/libp2p/go-libp2p/core/peer"

// Met is what discovery calls with a node that it met on the LAN.
func (n *Node) Met(p peer.AddrInfo) { n.found(p) }

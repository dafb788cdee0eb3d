package node

import (
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// Nodes that are remembered after they have gone; twice as many for a moment.
	maxRemembered = 512
	guardTag      = "meerkat member"
)

// guard has the connection manager spare members and the nodes that the owner
// named, whatever crowd of strangers comes.
func (l *links) guard() {
	cm, now := l.host.ConnManager(), map[peer.ID]bool{}
	for _, p := range slices.Concat(l.want(), l.fixedPeers()) {
		now[p] = true
		if !l.guarded[p] {
			cm.Protect(p, guardTag)
		}
	}
	for p := range l.guarded {
		if !now[p] {
			cm.Unprotect(p, guardTag)
		}
	}
	l.guarded = now
}

// forget drops what is remembered of strangers that have gone, those first that
// have been gone for longest, once they are many: those who want to harm come
// under new names each time. libp2p would keep what each said of itself for a
// quarter of an hour.
func (l *links) forget() {
	for _, p := range l.longGone() {
		if l.host.Network().Connectedness(p) != network.NotConnected {
			continue // it came back
		}
		l.host.Peerstore().ClearAddrs(p)
		l.host.Peerstore().RemovePeer(p)
	}
}

// longGone are the strangers to be forgotten now; they are gone from the lists.
func (l *links) longGone() []peer.ID {
	l.mu.Lock()
	many := max(len(l.seen), len(l.tries)) > 2*maxRemembered
	l.mu.Unlock()
	if !many {
		return nil
	}
	keep := map[peer.ID]bool{}
	for _, p := range slices.Concat(l.want(), l.fixedPeers(), l.useful(), l.host.Network().Peers()) {
		keep[p] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var gone []peer.ID
	for p := range l.seen {
		if !keep[p] {
			gone = append(gone, p)
		}
	}
	slices.SortFunc(gone, func(a, b peer.ID) int { return l.seen[a].Compare(l.seen[b]) })
	gone = gone[:max(len(gone)-maxRemembered, 0)]
	for _, p := range gone {
		delete(l.seen, p)
		delete(l.measured, p)
		delete(l.probed, p)
	}
	maps.DeleteFunc(l.tries, func(p peer.ID, t *try) bool { return !keep[p] && !t.dialing && !isFixedKey(p) })
	return gone
}

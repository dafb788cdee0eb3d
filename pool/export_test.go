package pool

import (
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool/internal/pb"
)

// ForgeTicket signs t with whatever key, asking no roster.
func ForgeTicket(key crypto.PrivKey, t Ticket) (Ticket, error) { return t.seal(key) }

// ForgeAdmit is an admission that no roster was asked about.
func ForgeAdmit(key crypto.PrivKey, r *Roster, node peer.ID, role Role, c *Claim, t event.HLC) (Record, error) {
	a := &pb.Admit{Node: []byte(node), Name: "forged", Role: uint32(role)}
	if c != nil {
		a.Claim = c.toWire()
	}
	id := r.ID()
	return sealRecord(key, &pb.Body{Pool: id[:], Hlc: uint64(t), Heads: r.heads(), Act: &pb.Body_Admit{Admit: a}})
}

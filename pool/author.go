package pool

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool/internal/pb"
)

// seal makes a record on top of all that r knows, and refuses one that r
// itself would not count.
func (r *Roster) seal(key crypto.PrivKey, t event.HLC, body *pb.Body) (Record, error) {
	id := r.ID()
	body.Pool, body.Hlc, body.Heads = id[:], uint64(t), r.heads()
	rec, err := sealRecord(key, body)
	if err != nil {
		return Record{}, err
	}
	next, err := r.With(rec)
	if err != nil {
		return Record{}, err
	}
	for _, x := range next.rejected {
		if x.Hash == rec.Hash {
			return Record{}, x.Err
		}
	}
	return rec, nil
}

// Admit makes node a member by hand; key is an admin's. ErrRole,
// ErrAlreadyMember, ErrName.
func (r *Roster) Admit(key crypto.PrivKey, node peer.ID, name string, role Role, t event.HLC) (Record, error) {
	return r.admit(key, &pb.Admit{Node: []byte(node), Name: name, Role: uint32(role)}, t)
}

// Guest is somebody who comes by ticket. Via is the member that brings its
// pool along, Guest being another member of that; "" where the node comes by
// itself. Most bounds its role; 0 is the ticket's.
type Guest struct {
	Claim Claim
	Name  string
	Most  Role
	Via   peer.ID
}

// Honour makes a guest a member on the terms of its ticket. One use lets in a
// node that comes by itself, and all that it brings. key is an admin's or
// keeper's, now the wall clock. ErrTicketForeign, ErrTicketExpired,
// ErrTicketRevoked, ErrTicketUsed, and as Admit.
func (r *Roster) Honour(key crypto.PrivKey, g Guest, now time.Time, t event.HLC) (Record, error) {
	if err := r.good(g.Claim, now); err != nil {
		return Record{}, err
	}
	role := g.Claim.Role
	if g.Most != 0 {
		role = Meet(role, g.Most)
	}
	a := &pb.Admit{Node: []byte(g.Claim.Node), Name: g.Name, Role: uint32(role), Claim: g.Claim.toWire(), Via: []byte(g.Via)}
	return r.admit(key, a, t)
}

func (r *Roster) admit(key crypto.PrivKey, a *pb.Admit, t event.HLC) (Record, error) {
	if err := CheckName(a.Name); err != nil {
		return Record{}, err
	}
	rec, err := r.seal(key, t, &pb.Body{Act: &pb.Body_Admit{Admit: a}})
	if err != nil {
		return Record{}, fmt.Errorf("admit %s: %w", peer.ID(a.Node), err)
	}
	return rec, nil
}

// good says what a person should know of a ticket that does not serve.
func (r *Roster) good(c Claim, now time.Time) error {
	if c.Pool != r.ID() {
		return ErrTicketForeign
	}
	issuer := r.nodes[c.Issuer]
	switch {
	case issuer == nil:
		return fmt.Errorf("%w: its issuer never was a member", ErrTicketForeign)
	case r.revoked[c.Ticket]:
		return ErrTicketRevoked
	case issuer.removed || !issuer.Role.Admin():
		return fmt.Errorf("%w: its issuer is no admin any more", ErrTicketRevoked)
	case now.After(c.Expires):
		return ErrTicketExpired
	}
	return nil
}

// Remove ends node's membership; key is an admin's, or node's own. Of what
// node wrote, that counts which cut covers; entries of other nodes' writers in
// it are passed over, and so are, of more than [event.MaxVector], those of the
// shortest logs: who signs thousands of them cannot stay by it. ErrRole, ErrNotMember, ErrLastAdmin.
func (r *Roster) Remove(key crypto.PrivKey, node peer.ID, cut event.Vector, t event.HLC) (Record, error) {
	if err := r.keepsAdmin(node); err != nil {
		return Record{}, fmt.Errorf("remove %s: %w", node, err)
	}
	act := &pb.Remove{Node: []byte(node), Cut: cutOf(node, cut)}
	rec, err := r.seal(key, t, &pb.Body{Act: &pb.Body_Remove{Remove: act}})
	if err != nil {
		return Record{}, fmt.Errorf("remove %s: %w", node, err)
	}
	return rec, nil
}

// SetRole gives node another role; key is an admin's. Where the new role does
// not write, cut says which of node's events count, as in Remove. ErrRole,
// ErrNotMember, ErrLastAdmin.
func (r *Roster) SetRole(key crypto.PrivKey, node peer.ID, role Role, cut event.Vector, t event.HLC) (Record, error) {
	if !role.Admin() {
		if err := r.keepsAdmin(node); err != nil {
			return Record{}, fmt.Errorf("make %s a %s: %w", node, role, err)
		}
	}
	act := &pb.SetRole{Node: []byte(node), Role: uint32(role)}
	if !role.Writes() {
		act.Cut = cutOf(node, cut)
	}
	rec, err := r.seal(key, t, &pb.Body{Act: &pb.Body_Role{Role: act}})
	if err != nil {
		return Record{}, fmt.Errorf("make %s a %s: %w", node, role, err)
	}
	return rec, nil
}

// keepsAdmin refuses to take the last admin's right away.
func (r *Roster) keepsAdmin(node peer.ID) error {
	if m, ok := r.Member(node); ok && m.Role.Admin() && r.adminsBut(node) == 0 {
		return ErrLastAdmin
	}
	return nil
}

func cutOf(node peer.ID, cut event.Vector) []byte {
	own := event.Vector{}
	for w, seq := range cut {
		if w.Node == node && seq > 0 {
			own[w] = seq
		}
	}
	if len(own) > event.MaxVector {
		short := own.Writers()
		slices.SortStableFunc(short, func(a, b event.Writer) int { return cmp.Compare(own[b], own[a]) })
		for _, w := range short[event.MaxVector:] {
			delete(own, w)
		}
	}
	return own.Append(nil)
}

// Rename names a member, or the pool where node is "". Key is an admin's, or
// the member's own. ErrRole, ErrNotMember, ErrName.
func (r *Roster) Rename(key crypto.PrivKey, node peer.ID, name string, t event.HLC) (Record, error) {
	if err := CheckName(name); err != nil {
		return Record{}, err
	}
	act := &pb.Rename{Node: []byte(node), Name: name}
	rec, err := r.seal(key, t, &pb.Body{Act: &pb.Body_Rename{Rename: act}})
	if err != nil {
		return Record{}, fmt.Errorf("rename to %q: %w", name, err)
	}
	return rec, nil
}

// Revoke makes a ticket worthless; key is an admin's. Who came in by it stays.
func (r *Roster) Revoke(key crypto.PrivKey, id TicketID, t event.HLC) (Record, error) {
	rec, err := r.seal(key, t, &pb.Body{Act: &pb.Body_Revoke{Revoke: &pb.Revoke{Ticket: id[:]}}})
	if err != nil {
		return Record{}, fmt.Errorf("revoke ticket: %w", err)
	}
	return rec, nil
}

// Invite makes a ticket; key is an admin's. It expires to the second, after
// now; addrs are at most MaxAddrs multiaddrs. Nothing is recorded: any admin
// or keeper may honour it. ErrRole, ErrTicketTerms.
func (r *Roster) Invite(key crypto.PrivKey, role Role, expires time.Time, uses int, addrs []string, now time.Time) (Ticket, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return Ticket{}, fmt.Errorf("invite: %w", err)
	}
	if m, ok := r.Member(id); !ok {
		return Ticket{}, fmt.Errorf("invite: %w", ErrNotMember)
	} else if !m.Role.Admin() {
		return Ticket{}, fmt.Errorf("invite: as a %s: %w", m.Role, ErrRole)
	}
	t := Ticket{
		Pool: r.ID(), PoolName: r.name, Issuer: id, Role: role,
		Expires: expires.UTC().Truncate(time.Second), Uses: uses, Addrs: addrs,
	}
	if !t.Expires.After(now) || t.Expires.Unix() > maxExpires {
		return Ticket{}, fmt.Errorf("invite: %w: it would expire at once or never", ErrTicketTerms)
	}
	if err := t.check(); err != nil {
		return Ticket{}, fmt.Errorf("invite: %w", err)
	}
	return t.seal(key)
}

package pool

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool/internal/pb"
)

const (
	signDomain = "meerkat roster record v1\n"
	hashDomain = "meerkat roster hash v1\n"
	sigLen     = 64
)

// Act is what a record does.
type Act uint8

// The acts.
const (
	Genesis Act = iota + 1 // founds the pool
	Admit                  // makes Node a member, by hand or by ticket
	SetRole                // gives Node another role
	Remove                 // ends Node's membership
	Revoke                 // makes a ticket worthless
	Rename                 // names Node, or the pool
	Merge                  // says that the pool goes on as another one
)

var actNames = [...]string{"none", "genesis", "admit", "role", "remove", "revoke", "rename", "merge"}

// String is the act's name.
func (a Act) String() string {
	if int(a) < len(actNames) {
		return actNames[a]
	}
	return fmt.Sprintf("act(%d)", uint8(a))
}

// Record is one signed statement about a pool's members. It is a value: nobody
// changes it or what its slices and maps hold. Hash is its identity, over Raw.
// Whether its author had the right to it is for a Roster to say.
type Record struct {
	Raw    []byte
	Hash   event.Hash
	Pool   event.PoolID
	Author peer.ID
	HLC    event.HLC
	Heads  []event.Hash // ascending; empty in the genesis
	Act    Act
	Node   peer.ID      // whom it is about; "" in Revoke and when the pool is renamed
	Name   string       // Genesis: the pool's
	Role   Role         // Admit, SetRole
	Cut    event.Vector // Remove, SetRole: how much of Node's writers counts
	Ticket TicketID     // Revoke
	Claim  *Claim       // Admit by ticket
	Via    peer.ID      // Admit by ticket: who brought Node along; "" if nobody
	Into   Successor    // Merge

	nodeName string   // Genesis
	secret   [32]byte // Genesis
}

// OpenRecord verifies the form and signature of one record. It keeps raw.
// Every error is an ErrRecord.
func OpenRecord(raw []byte) (Record, error) {
	r, err := openRecord(raw)
	if err != nil && !errors.Is(err, ErrRecord) {
		err = fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, err
}

func openRecord(raw []byte) (Record, error) {
	if len(raw) <= sigLen || len(raw) > MaxRecord {
		return Record{}, fmt.Errorf("%w: %d bytes", ErrRecord, len(raw))
	}
	var body pb.Body
	if err := proto.Unmarshal(raw[sigLen:], &body); err != nil {
		return Record{}, err
	}
	r, err := fromBody(&body)
	if err != nil {
		return Record{}, err
	}
	if err := verify(r.Author, signDomain, raw[sigLen:], raw[:sigLen]); err != nil {
		return Record{}, err
	}
	r.Raw, r.Hash = raw, recordHash(raw)
	if r.Act == Genesis {
		r.Pool = event.PoolID(r.Hash)
	}
	return r, nil
}

// sealRecord signs body and opens what came out, so that no author makes a
// record that others refuse.
func sealRecord(key crypto.PrivKey, body *pb.Body) (Record, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return Record{}, fmt.Errorf("own id: %w", err)
	}
	body.Author = []byte(id)
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err != nil {
		return Record{}, fmt.Errorf("encode record: %w", err)
	}
	sig, err := key.Sign(append([]byte(signDomain), b...))
	if err != nil {
		return Record{}, fmt.Errorf("sign record: %w", err)
	}
	return OpenRecord(append(sig, b...))
}

// Found makes the genesis of a new pool; the author becomes its first admin.
// The pool's id is the record's hash, its secret is drawn here.
func Found(key crypto.PrivKey, poolName, nodeName string, t event.HLC) (Record, error) {
	if err := errors.Join(CheckName(poolName), CheckName(nodeName)); err != nil {
		return Record{}, fmt.Errorf("found a pool: %w", err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, by its contract
	g := &pb.Genesis{PoolName: poolName, NodeName: nodeName, Secret: secret}
	return sealRecord(key, &pb.Body{Hlc: uint64(t), Act: &pb.Body_Genesis{Genesis: g}})
}

func recordHash(raw []byte) event.Hash {
	h := blake3.New()
	_, _ = h.WriteString(hashDomain) // never fails
	_, _ = h.Write(raw)
	return event.Hash(h.Sum(nil))
}

func verify(author peer.ID, domain string, msg, sig []byte) error {
	pub, err := author.ExtractPublicKey()
	if err != nil {
		return fmt.Errorf("author's key: %w", err)
	}
	ok, err := pub.Verify(append([]byte(domain), msg...), sig)
	if err != nil || !ok {
		return fmt.Errorf("%w: wrong signature", ErrRecord)
	}
	return nil
}

// parseNode accepts an Ed25519 peer id in its one true form.
func parseNode(b []byte) (peer.ID, error) {
	id, err := peer.IDFromBytes(b)
	if err != nil {
		return "", fmt.Errorf("node id: %w", err)
	}
	pub, err := id.ExtractPublicKey()
	if err != nil {
		return "", fmt.Errorf("node id: %w", err)
	}
	same, err := peer.IDFromPublicKey(pub)
	if err != nil || same != id || pub.Type() != crypto.Ed25519 {
		return "", fmt.Errorf("%w: node id is not of an Ed25519 key", ErrRecord)
	}
	return id, nil
}

func fromBody(b *pb.Body) (Record, error) {
	author, err := parseNode(b.Author)
	if err != nil {
		return Record{}, err
	}
	r := Record{Author: author, HLC: event.HLC(b.Hlc)}
	if g := b.GetGenesis(); g != nil {
		return r.genesis(b, g)
	}
	if r.Heads, err = parseHeads(b.Heads); err != nil {
		return Record{}, err
	}
	if len(b.Pool) != len(r.Pool) {
		return Record{}, fmt.Errorf("%w: pool id of %d bytes", ErrRecord, len(b.Pool))
	}
	r.Pool = event.PoolID(b.Pool)
	return r.act(b)
}

func (r Record) genesis(b *pb.Body, g *pb.Genesis) (Record, error) {
	if len(b.Pool) != 0 || len(b.Heads) != 0 || len(g.Secret) != len(r.secret) {
		return Record{}, fmt.Errorf("%w: malformed genesis", ErrRecord)
	}
	r.Act, r.Node, r.Role = Genesis, r.Author, Admin
	r.Name, r.nodeName, r.secret = g.PoolName, g.NodeName, [32]byte(g.Secret)
	return r, errors.Join(CheckName(r.Name), CheckName(r.nodeName))
}

func parseHeads(in [][]byte) ([]event.Hash, error) {
	if len(in) == 0 || len(in) > maxHeads {
		return nil, fmt.Errorf("%w: %d heads", ErrRecord, len(in))
	}
	out := make([]event.Hash, len(in))
	for i, b := range in {
		if len(b) != len(out[i]) {
			return nil, fmt.Errorf("%w: head of %d bytes", ErrRecord, len(b))
		}
		if i > 0 && bytes.Compare(in[i-1], b) >= 0 {
			return nil, fmt.Errorf("%w: heads out of order", ErrRecord)
		}
		out[i] = event.Hash(b)
	}
	return slices.Clip(out), nil
}

func (r Record) act(b *pb.Body) (Record, error) {
	switch a := b.Act.(type) {
	case *pb.Body_Admit:
		return r.admit(a.Admit)
	case *pb.Body_Role:
		r.Act, r.Role = SetRole, parseRole(a.Role.GetRole())
		return r.about(a.Role.GetNode(), a.Role.GetCut())
	case *pb.Body_Remove:
		r.Act = Remove
		return r.about(a.Remove.GetNode(), a.Remove.GetCut())
	case *pb.Body_Revoke:
		r.Act = Revoke
		if len(a.Revoke.GetTicket()) != len(r.Ticket) {
			return Record{}, fmt.Errorf("%w: malformed ticket id", ErrRecord)
		}
		r.Ticket = TicketID(a.Revoke.GetTicket())
		return r, nil
	case *pb.Body_Rename:
		return r.rename(a.Rename)
	case *pb.Body_Merge:
		return r.merge(a.Merge)
	}
	return Record{}, fmt.Errorf("%w: unknown act", ErrRecord)
}

func (r Record) admit(a *pb.Admit) (Record, error) {
	r.Act, r.Role, r.Name = Admit, parseRole(a.GetRole()), a.GetName()
	if err := CheckName(r.Name); err != nil {
		return Record{}, err
	}
	r, err := r.about(a.GetNode(), nil)
	if err != nil || a.GetClaim() == nil {
		return r, err
	}
	c, err := fromClaim(a.GetClaim())
	if err != nil {
		return Record{}, err
	}
	if c.Node != r.Node || !r.Role.Within(c.Role) || c.Pool != r.Pool {
		return Record{}, fmt.Errorf("%w: admission differs from its ticket", ErrRecord)
	}
	r.Claim = &c
	if len(a.GetVia()) > 0 {
		r.Via, err = parseNode(a.GetVia())
	}
	return r, err
}

func (r Record) rename(a *pb.Rename) (Record, error) {
	r.Act, r.Name = Rename, a.GetName()
	if err := CheckName(r.Name); err != nil {
		return Record{}, err
	}
	if len(a.GetNode()) == 0 {
		return r, nil
	}
	return r.about(a.GetNode(), nil)
}

func (r Record) about(node, cut []byte) (Record, error) {
	id, err := parseNode(node)
	if err != nil {
		return Record{}, err
	}
	r.Node = id
	if (r.Act == Admit || r.Act == SetRole) && !r.Role.Valid() {
		return Record{}, fmt.Errorf("%w: unknown role", ErrRecord)
	}
	if len(cut) == 0 {
		return r, nil
	}
	if r.Cut, err = event.DecodeVector(cut); err != nil {
		return Record{}, fmt.Errorf("cut: %w", err)
	}
	for w := range r.Cut {
		if w.Node != id {
			return Record{}, fmt.Errorf("%w: cut of another node's writer", ErrRecord)
		}
	}
	return r, nil
}

func parseRole(n uint32) Role {
	if n > uint32(Admin) {
		return 0
	}
	return Role(n)
}

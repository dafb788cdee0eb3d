package pool

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool/internal/pb"
)

const (
	statementDomain = "meerkat ticket statement v1\n"
	proofDomain     = "meerkat ticket proof v1\n"
	termsLen        = 32 + 32 + 32 + 1 + 8 + 4 + 32
	maxExpires      = 1 << 34 // seconds since 1970: the year 2514
	maxClaim        = 1024
)

// terms are the public part of a ticket. Encoded they are a statement: pool,
// issuer's key, ticket id, role, expiry in seconds, uses, commitment to the
// body; numbers big-endian.
type terms struct {
	Pool    event.PoolID
	Issuer  peer.ID
	Ticket  TicketID
	Role    Role
	Expires time.Time
	Uses    int
	commit  [32]byte
}

func (t terms) encode() []byte {
	issuer, _ := keyOfNode(t.Issuer) // checked where the terms were made; else the length below is wrong and nobody accepts it
	b := make([]byte, 0, termsLen)
	b = append(b, t.Pool[:]...)
	b = append(b, issuer...)
	b = append(b, t.Ticket[:]...)
	b = append(b, byte(t.Role))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(t.Uses))
	return append(b, t.commit[:]...)
}

func decodeTerms(b []byte) (terms, error) {
	if len(b) != termsLen {
		return terms{}, fmt.Errorf("%w: statement of %d bytes", ErrTicketDamaged, len(b))
	}
	issuer, err := nodeFromKey(b[32:64])
	if err != nil {
		return terms{}, err
	}
	expires, uses := binary.BigEndian.Uint64(b[97:]), binary.BigEndian.Uint32(b[105:])
	t := terms{
		Pool: event.PoolID(b[:32]), Issuer: issuer, Ticket: TicketID(b[64:96]), Role: Role(b[96]),
		Expires: time.Unix(int64(min(expires, maxExpires)), 0).UTC(), Uses: int(min(uses, MaxUses)), commit: [32]byte(b[109:]),
	}
	if !t.Role.Valid() || expires > maxExpires || uses < 1 || uses > MaxUses {
		return terms{}, fmt.Errorf("%w: terms out of bounds", ErrTicketDamaged)
	}
	return t, nil
}

// Claim is what a joiner shows of its ticket to be admitted: the terms, signed
// by the issuer, and a proof by the ticket's secret that Node may use them.
// Whoever sees a claim can admit that node with it, and no other.
type Claim struct {
	terms
	Node peer.ID

	issuerSig, proof []byte
}

// Claim shows the ticket for node, without the secret.
func (t Ticket) Claim(node peer.ID) Claim {
	c := Claim{terms: t.terms(), Node: node, issuerSig: t.raw[len(t.raw)-sigLen:]}
	c.proof = ed25519.Sign(t.key(), c.proven())
	return c
}

func (c Claim) proven() []byte {
	b := append([]byte(proofDomain), c.encode()...)
	return append(b, c.Node...)
}

// Encode is the claim for the wire.
func (c Claim) Encode() []byte {
	b, _ := proto.Marshal(c.toWire()) // plain byte fields cannot fail
	return b
}

func (c Claim) toWire() *pb.Claim {
	return &pb.Claim{Statement: c.encode(), IssuerSig: c.issuerSig, Node: []byte(c.Node), Proof: c.proof}
}

// ParseClaim reads what Encode wrote, and verifies both signatures. Every
// error is an ErrTicketDamaged.
func ParseClaim(b []byte) (Claim, error) {
	if len(b) > maxClaim {
		return Claim{}, fmt.Errorf("%w: claim of %d bytes", ErrTicketDamaged, len(b))
	}
	var m pb.Claim
	if err := proto.Unmarshal(b, &m); err != nil {
		return Claim{}, fmt.Errorf("%w: %w", ErrTicketDamaged, err)
	}
	return fromClaim(&m)
}

func fromClaim(m *pb.Claim) (Claim, error) {
	c, err := openClaim(m)
	if err != nil && !errors.Is(err, ErrTicketDamaged) {
		err = fmt.Errorf("%w: %w", ErrTicketDamaged, err)
	}
	return c, err
}

func openClaim(m *pb.Claim) (Claim, error) {
	t, err := decodeTerms(m.Statement)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{terms: t, issuerSig: m.IssuerSig, proof: m.Proof}
	if c.Node, err = parseNode(m.Node); err != nil {
		return Claim{}, err
	}
	if err := verify(c.Issuer, statementDomain, m.Statement, m.IssuerSig); err != nil {
		return Claim{}, err
	}
	if len(c.proof) != ed25519.SignatureSize || !ed25519.Verify(t.Ticket[:], c.proven(), c.proof) {
		return Claim{}, fmt.Errorf("%w: the proof does not fit", ErrTicketDamaged)
	}
	return c, nil
}

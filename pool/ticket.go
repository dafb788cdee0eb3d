package pool

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool/internal/pb"
)

// TicketPrefix begins the text of every ticket of this version.
const TicketPrefix = "mkt1"

const (
	ticketKeyContext = "meerkat ticket key v1"
	ticketDomain     = "meerkat ticket body v1\n"
)

// TicketID names a ticket: the public half of the key that its secret makes.
type TicketID [32]byte

// String is id in hex.
func (id TicketID) String() string { return hex.EncodeToString(id[:]) }

// Ticket is an invitation to a pool, signed by an admin. Who has its text may
// join: the secret in it is a key, which is never shown to anybody, see Claim.
// Addrs are multiaddrs where the pool may be met; those of the issuer
// end in its /p2p id. Expires is in UTC, to the second.
type Ticket struct {
	Pool     event.PoolID
	PoolName string
	Issuer   peer.ID
	Secret   [16]byte
	Role     Role
	Expires  time.Time
	Uses     int
	Addrs    []string

	raw []byte // body and signature, as in the text
}

// LogValue keeps the secret out of logs.
func (t Ticket) LogValue() slog.Value { return slog.StringValue("ticket " + t.ID().String()[:8]) }

// ID names the ticket.
func (t Ticket) ID() TicketID {
	return TicketID(t.key().Public().(ed25519.PublicKey))
}

// String is the ticket as people pass it on.
func (t Ticket) String() string {
	return TicketPrefix + base64.RawURLEncoding.EncodeToString(t.raw)
}

// key is what the secret makes; the ticket's proofs are signed with it.
func (t Ticket) key() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	blake3.DeriveKey(ticketKeyContext, t.Secret[:], seed)
	return ed25519.NewKeyFromSeed(seed)
}

// ParseTicket reads a ticket's text; space around it is ignored. A text that
// differs in one bit from what the issuer signed is an ErrTicketDamaged, one
// of a later version an ErrTicketVersion. Whether the ticket is still good is
// for the pool to say.
func ParseTicket(s string) (Ticket, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxTicket {
		return Ticket{}, fmt.Errorf("%w: %d characters", ErrTicketDamaged, len(s))
	}
	body, ok := strings.CutPrefix(s, TicketPrefix)
	if ok {
		return openTicket(body)
	}
	if !laterVersion(s) {
		return Ticket{}, fmt.Errorf("%w: it does not begin with %s", ErrTicketDamaged, TicketPrefix)
	}
	if _, err := openTicket(s[len(TicketPrefix):]); err == nil {
		return Ticket{}, fmt.Errorf("%w: it does not begin with %s", ErrTicketDamaged, TicketPrefix)
	}
	return Ticket{}, fmt.Errorf("%w: %s", ErrTicketVersion, s[:len(TicketPrefix)])
}

func laterVersion(s string) bool {
	n := len(TicketPrefix)
	return len(s) > n && s[:n-1] == TicketPrefix[:n-1] && s[n-1] >= '2' && s[n-1] <= '9'
}

func openTicket(text string) (Ticket, error) {
	t, err := decodeTicket(text)
	if err != nil && !errors.Is(err, ErrTicketDamaged) {
		err = fmt.Errorf("%w: %w", ErrTicketDamaged, err)
	}
	if err != nil {
		return Ticket{}, err
	}
	return t, nil
}

func decodeTicket(text string) (Ticket, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return Ticket{}, err
	}
	if len(raw) <= sigLen || strings.ContainsAny(text, "\r\n") {
		return Ticket{}, fmt.Errorf("%w: cut short", ErrTicketDamaged)
	}
	var m pb.Ticket
	if err := proto.Unmarshal(raw[:len(raw)-sigLen], &m); err != nil {
		return Ticket{}, err
	}
	t, err := fromTicket(&m)
	if err != nil {
		return Ticket{}, err
	}
	t.raw = raw
	if verify(t.Issuer, statementDomain, t.terms().encode(), raw[len(raw)-sigLen:]) != nil {
		return Ticket{}, fmt.Errorf("%w: the signature does not fit", ErrTicketDamaged)
	}
	return t, nil
}

func fromTicket(m *pb.Ticket) (Ticket, error) {
	var t Ticket
	if len(m.Pool) != len(t.Pool) || len(m.Secret) != len(t.Secret) || m.Expires > maxExpires || m.Uses > MaxUses {
		return Ticket{}, fmt.Errorf("%w: a field is out of bounds", ErrTicketDamaged)
	}
	issuer, err := nodeFromKey(m.Issuer)
	if err != nil {
		return Ticket{}, err
	}
	t = Ticket{
		Pool: event.PoolID(m.Pool), PoolName: m.PoolName, Issuer: issuer, Secret: [16]byte(m.Secret),
		Role: parseRole(m.Role), Expires: time.Unix(int64(m.Expires), 0).UTC(), Uses: int(m.Uses),
	}
	for _, b := range m.Addrs {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return Ticket{}, fmt.Errorf("address hint: %w", err)
		}
		t.Addrs = append(t.Addrs, a.String())
	}
	return t, t.check()
}

// check holds the terms against the limits.
func (t Ticket) check() error {
	switch {
	case !t.Role.Valid():
		return fmt.Errorf("%w: no such role", ErrTicketTerms)
	case t.Uses < 1 || t.Uses > MaxUses:
		return fmt.Errorf("%w: %d uses, it may have 1 to %d", ErrTicketTerms, t.Uses, MaxUses)
	case len(t.Addrs) > MaxAddrs:
		return fmt.Errorf("%w: %d addresses, at most %d", ErrTicketTerms, len(t.Addrs), MaxAddrs)
	}
	for _, a := range t.Addrs {
		if len(a) > maxAddr {
			return fmt.Errorf("%w: address of %d bytes", ErrTicketTerms, len(a))
		}
	}
	return CheckName(t.PoolName)
}

// terms are what the issuer signs. The commitment covers every bit of the
// body, so that nothing in the text can change unnoticed, and shows nothing of
// the secret.
func (t Ticket) terms() terms {
	h := blake3.New()
	_, _ = h.WriteString(ticketDomain) // never fails
	_, _ = h.Write(t.raw[:len(t.raw)-sigLen])
	return terms{
		Pool: t.Pool, Issuer: t.Issuer, Ticket: t.ID(), Role: t.Role,
		Expires: t.Expires, Uses: t.Uses, commit: [32]byte(h.Sum(nil)),
	}
}

// seal draws the secret, and signs.
func (t Ticket) seal(key crypto.PrivKey) (Ticket, error) {
	_, _ = rand.Read(t.Secret[:]) // never fails, by its contract
	m, err := t.toWire()
	if err != nil {
		return Ticket{}, err
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return Ticket{}, fmt.Errorf("encode ticket: %w", err)
	}
	t.raw = append(body, make([]byte, sigLen)...)
	sig, err := key.Sign(append([]byte(statementDomain), t.terms().encode()...))
	if err != nil {
		return Ticket{}, fmt.Errorf("sign ticket: %w", err)
	}
	t.raw = append(bytes.Clone(body), sig...)
	return ParseTicket(t.String())
}

func (t Ticket) toWire() (*pb.Ticket, error) {
	issuer, err := keyOfNode(t.Issuer)
	if err != nil {
		return nil, err
	}
	m := &pb.Ticket{
		Pool: t.Pool[:], Issuer: issuer, Secret: t.Secret[:], Role: uint32(t.Role),
		Expires: uint64(t.Expires.Unix()), Uses: uint32(t.Uses), PoolName: t.PoolName,
	}
	for _, s := range t.Addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("%w: address hint: %w", ErrTicketTerms, err)
		}
		m.Addrs = append(m.Addrs, a.Bytes())
	}
	return m, nil
}

// keyOfNode is the Ed25519 public key in a peer id.
func keyOfNode(id peer.ID) ([]byte, error) {
	pub, err := id.ExtractPublicKey()
	if err != nil {
		return nil, fmt.Errorf("node id: %w", err)
	}
	return pub.Raw()
}

// nodeFromKey is the inverse of keyOfNode.
func nodeFromKey(b []byte) (peer.ID, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(b)
	if err != nil {
		return "", fmt.Errorf("node key: %w", err)
	}
	return peer.IDFromPublicKey(pub)
}

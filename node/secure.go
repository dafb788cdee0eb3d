package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// timeless is a template of certificates that are valid at any time. libp2p's
// own ones begin an hour before the node was started, by its own clock: nodes
// whose clocks differ by more would refuse each other. Who a node is does not
// rest on the certificate's dates, but on the signature in it.
func timeless() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Unix(0, 0),
		NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: it does not end
	}, nil
}

// tlsOverTCP is libp2p's TLS 1.3 with a timeless certificate. (libp2p takes a
// certificate for QUIC, but not here.)
type tlsOverTCP struct {
	id       protocol.ID
	self     peer.ID
	identity *libp2ptls.Identity
	protos   []string // the muxers, offered in ALPN
}

func newTLS(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*tlsOverTCP, error) {
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	cert, err := timeless()
	if err != nil {
		return nil, err
	}
	identity, err := libp2ptls.NewIdentity(key, libp2ptls.WithCertTemplate(cert))
	if err != nil {
		return nil, err
	}
	t := &tlsOverTCP{id: id, self: self, identity: identity}
	for _, m := range muxers {
		t.protos = append(t.protos, string(m.ID))
	}
	return t, nil
}

// ID names the protocol.
func (t *tlsOverTCP) ID() protocol.ID { return t.id }

// SecureInbound is the server's side of a handshake; p may be empty.
func (t *tlsOverTCP) SecureInbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return t.secure(ctx, c, p, tls.Server)
}

// SecureOutbound is the client's side of a handshake with p.
func (t *tlsOverTCP) SecureOutbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return t.secure(ctx, c, p, tls.Client)
}

// secure shakes hands and says who is at the other end; it closes c if that
// fails.
func (t *tlsOverTCP) secure(ctx context.Context, c net.Conn, p peer.ID, side func(net.Conn, *tls.Config) *tls.Conn) (sec.SecureConn, error) {
	conf, keys := t.identity.ConfigForPeer(p)
	plain := conf.NextProtos // where the muxer is agreed on later
	conf.NextProtos = append(append([]string(nil), t.protos...), plain...)
	s := secured{Conn: side(c, conf), self: t.self}
	err := s.HandshakeContext(ctx)
	if err == nil {
		err = s.identify(keys)
	}
	if err != nil {
		_ = c.Close() // it is of no use
		return nil, err
	}
	if chosen := s.ConnectionState().NegotiatedProtocol; len(plain) == 0 || chosen != plain[0] {
		s.state = network.ConnectionState{StreamMultiplexer: protocol.ID(chosen), UsedEarlyMuxerNegotiation: chosen != ""}
	}
	return &s, nil
}

// secured is a TLS connection that knows its two ends.
type secured struct {
	*tls.Conn
	self, peer peer.ID
	key        crypto.PubKey
	state      network.ConnectionState
}

// identify takes in whose key the handshake has proven.
func (s *secured) identify(keys <-chan crypto.PubKey) (err error) {
	select {
	case s.key = <-keys:
	default:
	}
	if s.key == nil {
		return errors.New("tls: the handshake has proven no key")
	}
	if s.peer, err = peer.IDFromPublicKey(s.key); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return nil
}

// LocalPeer is this node.
func (s *secured) LocalPeer() peer.ID { return s.self }

// RemotePeer is who holds the key that was proven.
func (s *secured) RemotePeer() peer.ID { return s.peer }

// RemotePublicKey is the key that was proven.
func (s *secured) RemotePublicKey() crypto.PubKey { return s.key }

// ConnState says which muxer was agreed on in the handshake, if any.
func (s *secured) ConnState() network.ConnectionState { return s.state }

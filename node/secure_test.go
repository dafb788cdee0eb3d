package node

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/multiformats/go-multistream"
	quicgo "github.com/quic-go/quic-go"
)

func newKey(t *testing.T) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// lateVisitor is what a node shows whose clock is a year ahead.
func lateVisitor(t *testing.T) *tls.Config {
	t.Helper()
	cert, err := timeless()
	if err != nil {
		t.Fatal(err)
	}
	cert.NotBefore = time.Now().AddDate(1, 0, 0)
	id, err := libp2ptls.NewIdentity(newKey(t), libp2ptls.WithCertTemplate(cert))
	if err != nil {
		t.Fatal(err)
	}
	conf, _ := id.ConfigForPeer("")
	return conf
}

// shownBy connects to h over TCP and over QUIC and returns the certificates
// that it shows.
func shownBy(t *testing.T, h host.Host) map[string]*x509.Certificate {
	t.Helper()
	out := map[string]*x509.Certificate{}
	conf := lateVisitor(t) // h refuses it, after it has shown its own
	conf.VerifyPeerCertificate = nil
	for _, a := range h.Addrs() {
		ap, _ := addrPort(a)
		var state tls.ConnectionState
		if transportOf(a) == "quic-v1" {
			c, err := quicgo.DialAddr(t.Context(), ap.String(), conf, nil)
			if err != nil {
				t.Fatal(err)
			}
			state = c.ConnectionState().TLS
			_ = c.CloseWithError(0, "") // seen enough
		} else {
			c, err := net.Dial("tcp", ap.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := multistream.SelectProtoOrFail(libp2ptls.ID, c); err != nil {
				t.Fatal(err)
			}
			s := tls.Client(c, conf)
			if err := s.HandshakeContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			state = s.ConnectionState()
		}
		out[transportOf(a)] = state.PeerCertificates[0]
	}
	return out
}

// A certificate that begins with the start of a node, by its own clock, is not
// valid yet for whoever's clock is behind.
func TestCertificateIsValidAtAnyTime(t *testing.T) {
	h, err := newHost(hostConfig{key: newKey(t), listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	got := shownBy(t, h)
	if len(got) != 2 {
		t.Fatalf("seen over %v, want TCP and QUIC", got)
	}
	for transport, c := range got {
		for _, now := range []time.Time{time.Unix(1, 0), time.Now().AddDate(-30, 0, 0), time.Now().AddDate(200, 0, 0)} {
			if now.Before(c.NotBefore) || now.After(c.NotAfter) {
				t.Errorf("%s: valid from %v to %v, which is not at %v", transport, c.NotBefore, c.NotAfter, now)
			}
		}
	}
}

// securedPair shakes hands; want is whom the client expects.
func securedPair(t *testing.T, a, b *tlsOverTCP, want peer.ID) (client, server sec.SecureConn, clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server, serverErr = b.SecureInbound(t.Context(), y, "")
		if serverErr == nil {
			_, serverErr = server.Write([]byte{1}) // the client learns what the server thinks of it
		}
	}()
	client, clientErr = a.SecureOutbound(t.Context(), x, want)
	if clientErr == nil {
		_, clientErr = client.Read(make([]byte, 1))
	}
	<-done
	return client, server, clientErr, serverErr
}

func TestTLSProvesWhoIsThere(t *testing.T) {
	a, errA := newTLS(libp2ptls.ID, newKey(t), nil)
	b, errB := newTLS(libp2ptls.ID, newKey(t), nil)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	client, server, errA, errB := securedPair(t, a, b, b.self)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if client.RemotePeer() != b.self || server.RemotePeer() != a.self || client.LocalPeer() != a.self {
		t.Errorf("client sees %s, server sees %s; want %s and %s", client.RemotePeer(), server.RemotePeer(), b.self, a.self)
	}
	if got := client.ConnState(); got != (network.ConnectionState{}) {
		t.Errorf("the muxer is %+v, but none was offered", got)
	}
	_, _, errA, _ = securedPair(t, a, b, a.self)
	var wrong sec.ErrPeerIDMismatch
	if !errors.As(errA, &wrong) || wrong.Actual != b.self {
		t.Errorf("a handshake with somebody else ended by %v, want a mismatch that names %s", errA, b.self)
	}
}

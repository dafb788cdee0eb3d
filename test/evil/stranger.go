package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"
)

// stranger knows nobody: it sends garbage, half-open and oversized frames on
// every protocol that the target offers, and raw bytes to its port.
func stranger(ctx context.Context, s *self) error {
	for _, t := range s.targets {
		go every(ctx, 20*time.Millisecond, func() { s.rawBytes(ctx, t) }) // ends with ctx
		offered, err := s.host.Peerstore().GetProtocols(t.ID)
		if err != nil {
			return err
		}
		offered = append(offered, "/meerkat/heads/1", "/meerkat/chunks/1", "/meerkat/mesh/1", "/meerkat/join/1", "/meerkat/rbsr/1")
		for _, id := range offered {
			go every(ctx, 5*time.Millisecond, func() { s.garble(ctx, t.ID, id) }) // ends with ctx
		}
	}
	return nil
}

// garble sends one of several kinds of nonsense on a protocol.
func (s *self) garble(ctx context.Context, p peer.ID, id protocol.ID) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	st, err := s.host.NewStream(ctx, p, id)
	if err != nil {
		s.refused.Add(1)
		if s.host.Network().Connectedness(p) != 1 {
			_ = s.host.Connect(ctx, s.host.Peerstore().PeerInfo(p)) // again and again
		}
		return
	}
	s.sent.Add(1)
	var dice [1]byte
	_, _ = rand.Read(dice[:]) // never fails
	b := make([]byte, 4096)
	switch dice[0] % 4 {
	case 0:
		_, _ = rand.Read(b) // never fails
	case 1:
		b = binary.AppendUvarint(nil, 1<<40) // a frame of a tebibyte
	case 2:
		b = []byte{0xff} // half of a length
	case 3:
		time.AfterFunc(2*time.Second, func() { _ = st.Reset() }) // half open
		return
	}
	_, _ = st.Write(b) // whether it arrives is theirs to say
	_ = st.Close()     // likewise
}

// rawBytes opens the target's port and talks no protocol at all.
func (s *self) rawBytes(ctx context.Context, t peer.AddrInfo) {
	for _, a := range t.Addrs {
		network, addr, err := manet.DialArgs(a)
		if err != nil {
			continue
		}
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr)
		if err != nil {
			s.refused.Add(1)
			continue
		}
		b := make([]byte, 512)
		_, _ = rand.Read(b)                               // never fails
		_, _ = c.Write(b)                                 // whether it arrives is theirs to say
		time.AfterFunc(time.Second, func() { c.Close() }) //nolint:errcheck // half open until then
		s.sent.Add(1)
	}
}

package node

import (
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	manager "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	mux "github.com/libp2p/go-yamux/v5"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultPort is where a node listens for TCP and QUIC unless it is told
// otherwise or the port is taken.
const DefaultPort = 7716

// hostConfig says how a host listens and how it meets routers.
type hostConfig struct {
	key     crypto.PrivKey
	listen  []string
	public  bool    // strangers can reach it: do not ask AutoNAT
	mapper  *mapper // asks the router to let strangers in; nil: nobody does
	gater   connmgr.ConnectionGater
	fellow  func(peer.ID) bool // a member of some pool; nil: nobody is
	metrics prometheus.Registerer
	pest    func(peer.ID) // shuts out a stranger who does not stop; nil: nobody is
}

// newHost makes the libp2p host of a node: TCP with TLS 1.3 and QUIC, nothing
// else. It listens when it returns; the caller closes it.
func newHost(c hostConfig) (host.Host, error) {
	if len(c.listen) == 0 {
		c.listen = defaultListen()
	}
	cm, err := manager.NewConnManager(64, 192, manager.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	rm, err := newResources(c.metrics != nil)
	if err != nil {
		return nil, fmt.Errorf("resource manager: %w", err)
	}
	cert, err := timeless()
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	own := newOwnAddrs()
	opts := []libp2p.Option{
		libp2p.AddrsFactory(own.Correct),
		libp2p.Identity(c.key),
		libp2p.UserAgent("meerkat/" + Version),
		metricsOption(c.metrics),
		libp2p.ListenAddrStrings(c.listen...),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport, quic.WithTLSIdentityOption(libp2ptls.WithCertTemplate(cert))),
		libp2p.Security(libp2ptls.ID, newTLS),
		libp2p.Muxer(yamux.ID, tunedYamux()),
		libp2p.SwarmOpts(swarm.WithDialRanker(rankLANFirst)),
		libp2p.ConnectionManager(cm),
		libp2p.ResourceManager(&doorman{ResourceManager: rm, fellow: c.knows, pest: c.outs}),
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.EnableNATService(),
		libp2p.EnableAutoNATv2(),
	}
	if c.gater != nil {
		opts = append(opts, libp2p.ConnectionGater(c.gater))
	}
	if c.public {
		opts = append(opts, libp2p.ForceReachabilityPublic())
	}
	if c.mapper != nil {
		opts = append(opts, libp2p.NATManager(c.mapper.of))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, err
	}
	own.of(h)
	return h, nil
}

func metricsOption(r prometheus.Registerer) libp2p.Option {
	if r == nil {
		return libp2p.DisableMetrics()
	}
	return libp2p.PrometheusRegisterer(r)
}

func (c hostConfig) outs(p peer.ID) {
	if c.pest != nil {
		c.pest(p)
	}
}

func (c hostConfig) knows(p peer.ID) bool { return c.fellow != nil && c.fellow(p) }

// mapsPorts reports whether asking a router makes sense: not where this node
// listens on loopback alone, nor where it has a public address itself.
func mapsPorts(listen []string) bool { return !onLoopback(listen) && !hasPublicIPv4() }

// defaultListen is all interfaces on DefaultPort, or on a free port where
// another program has taken it.
func defaultListen() []string {
	port := DefaultPort
	if !portFree(port) {
		port = 0
	}
	return []string{
		fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port),
		fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port),
		fmt.Sprintf("/ip6/::/tcp/%d", port),
		fmt.Sprintf("/ip6/::/udp/%d/quic-v1", port),
	}
}

func portFree(port int) bool {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
	if err != nil {
		return false
	}
	_ = l.Close() // only asked
	u, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
	if err != nil {
		return false
	}
	_ = u.Close() // only asked
	return true
}

// tunedYamux is libp2p's own setting of yamux with larger messages and a
// larger first window, so that one stream fills a home uplink, and a keep-alive
// that notices a vanished peer within 25 s.
func tunedYamux() *yamux.Transport {
	c := mux.DefaultConfig()
	c.MaxStreamWindowSize = 16 << 20
	c.InitialStreamWindowSize = 1 << 20
	c.MaxMessageSize = 256 << 10
	c.KeepAliveInterval = 15 * time.Second
	c.ConnectionWriteTimeout = 20 * time.Second
	c.ReadBufSize = 0
	c.LogOutput = io.Discard
	c.MaxIncomingStreams = math.MaxUint32
	return (*yamux.Transport)(c)
}

// rankLANFirst dials TCP on private and loopback addresses first, because QUIC
// costs about four times the CPU a byte there; everything else keeps libp2p's
// order, 150 ms later if such an address is known.
func rankLANFirst(addrs []ma.Multiaddr) []network.AddrDelay {
	var near []network.AddrDelay
	var rest []ma.Multiaddr
	for _, a := range addrs {
		if isLANTCP(a) {
			near = append(near, network.AddrDelay{Addr: a})
		} else {
			rest = append(rest, a)
		}
	}
	for _, d := range swarm.DefaultDialRanker(rest) {
		if len(near) > 0 {
			d.Delay += 150 * time.Millisecond
		}
		near = append(near, d)
	}
	return near
}

func isLANTCP(a ma.Multiaddr) bool {
	if isRelayed(a) {
		return false
	}
	if _, err := a.ValueForProtocol(ma.P_TCP); err != nil {
		return false
	}
	return manet.IsPrivateAddr(a) || manet.IsIPLoopback(a)
}

// transportOf names what an address runs on, by its first transport: "tcp",
// "quic-v1" or "".
func transportOf(a ma.Multiaddr) string {
	name := ""
	ma.ForEach(a, func(x ma.Component) bool {
		switch x.Protocol().Code {
		case ma.P_TCP, ma.P_QUIC_V1:
			name = x.Protocol().Name
			return false
		}
		return true
	})
	return name
}

// portOf is the first TCP or UDP port of an address, or 0.
func portOf(a ma.Multiaddr) int {
	for _, code := range []int{ma.P_TCP, ma.P_UDP} {
		if s, err := a.ValueForProtocol(code); err == nil {
			n, _ := strconv.Atoi(s) // a multiaddr holds a number there
			return n
		}
	}
	return 0
}

func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// newResources is libp2p's own limiter scaled to this machine. One office
// behind one address may hold 64 connections instead of 8.
func newResources(metrics bool) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	// Links are probed by pings, and people ping as well.
	pings := rcmgr.BaseLimit{Streams: 64, StreamsInbound: 32, StreamsOutbound: 32, Memory: 4 << 20}
	limits.AddServicePeerLimit(ping.ServiceName, pings, rcmgr.BaseLimitIncrease{})
	limits.AddProtocolPeerLimit(ping.ID, pings, rcmgr.BaseLimitIncrease{})
	perAddr := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 64}}
	perNet6 := []rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: 64}}
	opts := []rcmgr.Option{rcmgr.WithLimitPerSubnet(perAddr, perNet6)}
	if !metrics {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()), opts...)
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-netroute"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	gatePatience = 1500 * time.Millisecond // a gateway that understands answers in milliseconds
	gateHurry    = 300 * time.Millisecond  // the network may be gone
	leaseTime    = 10 * time.Minute
	leaseRenewal = time.Minute // a router that restarts forgets its mappings
)

// gate is a gateway that opens ports, by whatever protocol.
type gate interface {
	// Open asks for port from outside, at best by the same number, for so long; 0 takes it back. It gives where the port
	// is to be reached, and for how long. It blocks until the gateway answers, at most for patience.
	Open(port openedPort, life, patience time.Duration) (netip.AddrPort, time.Duration, error)
}

// openedPort is a port of this machine, "tcp" or "udp".
type openedPort struct {
	protocol string
	number   uint16
}

// portKeeper keeps the ports that a host listens on open on a gateway. It is a NATManager.
type portKeeper struct {
	net  network.Network
	gate gate

	stop  context.CancelFunc
	done  sync.WaitGroup
	again chan struct{} // capacity one: the host listens to other ports

	mu   sync.Mutex
	open map[openedPort]lease
}

// lease is a port outside.
type lease struct {
	outside netip.AddrPort
	until   time.Time
}

var errNoGateway = errors.New("the default route has no gateway")

// gateway is where the default route leads.
func gateway() (net.IP, error) {
	routes, err := netroute.New()
	if err != nil {
		return nil, fmt.Errorf("look for the gateway: %w", err)
	}
	_, ip, _, err := routes.Route(net.IPv4(192, 0, 2, 1)) // of TEST-NET-1, to which only the default route leads
	if err != nil {
		return nil, fmt.Errorf("look for the gateway: %w", err)
	}
	if ip == nil || ip.IsUnspecified() {
		return nil, errNoGateway
	}
	return ip, nil
}

// findGate asks the gateway which protocol it speaks: PCP, or its predecessor NAT-PMP, which came to the same port. It
// blocks for gatePatience where it speaks neither.
func findGate(nonce [12]byte) (gate, error) {
	ip, err := gateway()
	if err != nil {
		return nil, err
	}
	older := make(chan error, 1)
	pmp := pmpGate{ip}
	go func() { older <- pmp.Hello(gatePatience) }()
	pcp := newPCPGate(ip, nonce)
	if err := pcp.Hello(gatePatience); err == nil {
		return pcp, nil
	}
	if err := <-older; err != nil {
		return nil, err
	}
	return pmp, nil
}

func newPortKeeper(n network.Network, g gate) *portKeeper {
	ctx, stop := context.WithCancel(context.Background())
	k := &portKeeper{net: n, gate: g, stop: stop, again: make(chan struct{}, 1), open: map[openedPort]lease{}}
	k.done.Go(func() { k.keep(ctx) })
	return k
}

// keep renews the mappings until ctx ends.
func (k *portKeeper) keep(ctx context.Context) {
	heed := &network.NotifyBundle{
		ListenF:      func(network.Network, ma.Multiaddr) { k.poke() },
		ListenCloseF: func(network.Network, ma.Multiaddr) { k.poke() },
	}
	k.net.Notify(heed)
	defer k.net.StopNotify(heed)
	tick := time.NewTicker(leaseRenewal)
	defer tick.Stop()
	for {
		k.renew()
		select {
		case <-ctx.Done():
			return
		case <-k.again:
		case <-tick.C:
		}
	}
}

func (k *portKeeper) poke() {
	select {
	case k.again <- struct{}{}:
	default:
	}
}

// renew asks for the ports that the host listens on now. What the gateway does not grant again stays open until its lease is over.
func (k *portKeeper) renew() {
	wanted := map[openedPort]bool{}
	for _, a := range k.net.ListenAddresses() {
		if port, _, ok := mappable(a); ok {
			wanted[port] = true
		}
	}
	for port := range wanted {
		k.ask(port)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for port := range k.open {
		if !wanted[port] {
			delete(k.open, port) // the gateway lets it lapse
		}
	}
}

func (k *portKeeper) ask(port openedPort) {
	outside, life, err := k.gate.Open(port, leaseTime, gatePatience)
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[port] = lease{outside, time.Now().Add(life)}
}

// GetMapping is where a listen address is to be reached, or nil.
func (k *portKeeper) GetMapping(a ma.Multiaddr) ma.Multiaddr {
	port, rest, ok := mappable(a)
	if !ok {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l, ok := k.open[port]
	if !ok || time.Now().After(l.until) {
		return nil
	}
	out, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/%s/%s/%d", l.outside.Addr(), port.protocol, l.outside.Port()))
	if err != nil {
		return nil // not of an IPv4 address and a port
	}
	if len(rest) > 0 {
		out = out.Encapsulate(rest)
	}
	return out
}

// HasDiscoveredNAT is true: a gateway that did not answer has no keeper.
func (k *portKeeper) HasDiscoveredNAT() bool { return true }

// Close takes the mappings back, as long as the gateway answers soon. It never fails: they lapse by themselves.
func (k *portKeeper) Close() error {
	k.stop()
	k.done.Wait()
	for port := range k.open {
		if _, _, err := k.gate.Open(port, 0, gateHurry); err != nil {
			break
		}
	}
	return nil
}

// mappable is the port of a listen address that a gateway can open, and what stands behind it in the address.
func mappable(a ma.Multiaddr) (openedPort, ma.Multiaddr, bool) {
	ip, rest := ma.SplitFirst(a)
	if ip == nil || ip.Protocol().Code != ma.P_IP4 {
		return openedPort{}, nil, false
	}
	if at := net.IP(ip.RawValue()); !at.IsGlobalUnicast() && !at.IsUnspecified() {
		return openedPort{}, nil, false
	}
	over, rest := ma.SplitFirst(rest)
	if over == nil || over.Protocol().Code != ma.P_TCP && over.Protocol().Code != ma.P_UDP {
		return openedPort{}, nil, false
	}
	n, err := strconv.ParseUint(over.Value(), 10, 16)
	return openedPort{over.Protocol().Name, uint16(n)}, rest, err == nil && n > 0
}

// anyRouter is the gateway where it speaks PCP or NAT-PMP, and else a router that answers to UPnP: only one of them, or each port
// would be opened twice. It is a NATManager.
type anyRouter struct {
	nowRouter // none until it is known
	done      sync.WaitGroup
	over      bool
}

// newAnyRouter begins to look for a router and returns at once.
func newAnyRouter(n network.Network) basichost.NATManager {
	r := &anyRouter{}
	r.done.Go(func() {
		g, err := findGate(pcpNonce(n.Peerstore().PrivKey(n.LocalPeer())))
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case err == nil:
			r.now = newPortKeeper(n, g)
		case !r.over:
			r.now = basichost.NewNATManager(n)
		}
	})
	return r
}

// Close takes the mappings back. It waits for a gateway that is being asked.
func (r *anyRouter) Close() error {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.done.Wait()
	return r.closeNow()
}

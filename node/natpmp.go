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

	natpmp "github.com/jackpal/go-nat-pmp"
	"github.com/libp2p/go-libp2p/core/network"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-netroute"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	pmpPatience = 1500 * time.Millisecond // a gateway that speaks NAT-PMP answers in milliseconds
	pmpHurry    = 300 * time.Millisecond  // the network may be gone
	pmpLifetime = 10 * time.Minute
	pmpRenewal  = time.Minute // a router that restarts forgets its mappings
)

// pmpRouter is a gateway that speaks NAT-PMP (RFC 6886). Each call blocks until it answers, or its patience is over.
type pmpRouter interface {
	GetExternalAddress() (*natpmp.GetExternalAddressResult, error)
	AddPortMapping(protocol string, internal, external, seconds int) (*natpmp.AddPortMappingResult, error)
}

// openedPort is a port of this machine, "tcp" or "udp".
type openedPort struct {
	protocol string
	number   uint16
}

// pmp keeps the ports that a host listens on open on a gateway. It is a NATManager.
type pmp struct {
	net    network.Network
	router pmpRouter
	hurry  pmpRouter // the same, with less patience

	stop  context.CancelFunc
	done  sync.WaitGroup
	again chan struct{} // capacity one: the host listens to other ports

	mu   sync.Mutex
	ip   netip.Addr
	open map[openedPort]lease
}

// lease is a port outside.
type lease struct {
	outside uint16
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

// openPMP asks the gateway; it blocks for pmpPatience where that does not speak NAT-PMP.
func openPMP(n network.Network) (*pmp, error) {
	ip, err := gateway()
	if err != nil {
		return nil, err
	}
	return newPMP(n, natpmp.NewClientWithTimeout(ip, pmpPatience), natpmp.NewClientWithTimeout(ip, pmpHurry))
}

func newPMP(n network.Network, router, hurry pmpRouter) (*pmp, error) {
	p := &pmp{net: n, router: router, hurry: hurry, again: make(chan struct{}, 1), open: map[openedPort]lease{}}
	if err := p.locate(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.done.Go(func() { p.keep(ctx) })
	return p, nil
}

// locate learns the gateway's address outside.
func (p *pmp) locate() error {
	answer, err := p.router.GetExternalAddress()
	if err != nil {
		return fmt.Errorf("ask the gateway for its address: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ip = netip.AddrFrom4(answer.ExternalIPAddress)
	return nil
}

// keep renews the mappings until ctx ends.
func (p *pmp) keep(ctx context.Context) {
	heed := &network.NotifyBundle{
		ListenF:      func(network.Network, ma.Multiaddr) { p.poke() },
		ListenCloseF: func(network.Network, ma.Multiaddr) { p.poke() },
	}
	p.net.Notify(heed)
	defer p.net.StopNotify(heed)
	tick := time.NewTicker(pmpRenewal)
	defer tick.Stop()
	for {
		p.renew()
		select {
		case <-ctx.Done():
			return
		case <-p.again:
		case <-tick.C:
			_ = p.locate() // the address stays what it was; the next tick asks again
		}
	}
}

func (p *pmp) poke() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}

// renew asks for the ports that the host listens on now. What the gateway does not grant again stays open until its lease is over.
func (p *pmp) renew() {
	wanted := map[openedPort]bool{}
	for _, a := range p.net.ListenAddresses() {
		if port, _, ok := pmpPortOf(a); ok {
			wanted[port] = true
		}
	}
	for port := range wanted {
		p.ask(port)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for port := range p.open {
		if !wanted[port] {
			delete(p.open, port) // the gateway lets it lapse
		}
	}
}

func (p *pmp) ask(port openedPort) {
	answer, err := p.router.AddPortMapping(port.protocol, int(port.number), int(port.number), int(pmpLifetime.Seconds()))
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[port] = lease{answer.MappedExternalPort, time.Now().Add(time.Duration(answer.PortMappingLifetimeInSeconds) * time.Second)}
}

// GetMapping is where a listen address is to be reached, or nil.
func (p *pmp) GetMapping(a ma.Multiaddr) ma.Multiaddr {
	port, rest, ok := pmpPortOf(a)
	if !ok {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.open[port]
	if !ok || time.Now().After(l.until) {
		return nil
	}
	out, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/%s/%s/%d", p.ip, port.protocol, l.outside))
	if err != nil {
		return nil // not of an IPv4 address and a port
	}
	if len(rest) > 0 {
		out = out.Encapsulate(rest)
	}
	return out
}

// HasDiscoveredNAT is true: a gateway that did not answer has no pmp.
func (p *pmp) HasDiscoveredNAT() bool { return true }

// Close takes the mappings back, as long as the gateway answers soon. It never fails: they lapse by themselves.
func (p *pmp) Close() error {
	p.stop()
	p.done.Wait()
	for port := range p.open {
		if _, err := p.hurry.AddPortMapping(port.protocol, int(port.number), 0, 0); err != nil {
			break
		}
	}
	return nil
}

// pmpPortOf is the port of a listen address that a gateway can open, and what stands behind it in the address.
func pmpPortOf(a ma.Multiaddr) (openedPort, ma.Multiaddr, bool) {
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

// anyRouter is the gateway where it speaks NAT-PMP, and else a router that answers to UPnP: only one of them, or each port would be
// opened twice. It is a NATManager.
type anyRouter struct {
	nowRouter // none until it is known
	done      sync.WaitGroup
	over      bool
}

// newAnyRouter begins to look for a router and returns at once.
func newAnyRouter(n network.Network) basichost.NATManager {
	r := &anyRouter{}
	r.done.Go(func() {
		p, err := openPMP(n)
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case err == nil:
			r.now = p
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

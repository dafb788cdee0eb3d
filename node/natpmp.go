package node

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	natpmp "github.com/jackpal/go-nat-pmp"
)

// pmpGate is a gateway that speaks NAT-PMP (RFC 6886).
type pmpGate struct{ ip net.IP }

// Hello fails where the gateway does not speak NAT-PMP. It blocks at most for patience.
func (g pmpGate) Hello(patience time.Duration) error {
	_, err := g.outside(patience)
	return err
}

func (g pmpGate) outside(patience time.Duration) (netip.Addr, error) {
	answer, err := natpmp.NewClientWithTimeout(g.ip, patience).GetExternalAddress()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("ask the gateway for its address: %w", err)
	}
	return netip.AddrFrom4(answer.ExternalIPAddress), nil
}

// Open asks for a port: see [gate].
func (g pmpGate) Open(port openedPort, life, patience time.Duration) (netip.AddrPort, time.Duration, error) {
	ip, err := g.outside(patience)
	if err != nil {
		return netip.AddrPort{}, 0, err
	}
	wish := int(port.number)
	if life == 0 {
		wish = 0
	}
	answer, err := natpmp.NewClientWithTimeout(g.ip, patience).AddPortMapping(port.protocol, int(port.number), wish, int(life.Seconds()))
	if err != nil {
		return netip.AddrPort{}, 0, fmt.Errorf("ask the gateway for port %d: %w", port.number, err)
	}
	granted := time.Duration(answer.PortMappingLifetimeInSeconds) * time.Second
	return netip.AddrPortFrom(ip, answer.MappedExternalPort), granted, nil
}

package node

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// The Port Control Protocol, RFC 6887: the parts of it that open a port of this machine. All of it is in network byte order.
const (
	pcpPort     = 5351
	pcpVersion  = 2
	pcpAnnounce = 0    // the opcode that asks for nothing
	pcpMap      = 1    // the opcode that asks for a port
	pcpResponse = 0x80 // set in the opcode of an answer

	pcpHeader  = 24   // bytes before what belongs to the opcode
	pcpMapSize = 36   // bytes of a mapping
	pcpMax     = 1100 // no message is longer
	pcpFirst   = 250 * time.Millisecond
)

var pcpResults = [...]string{
	"success", "unsupported version", "not authorized", "malformed request", "unsupported opcode", "unsupported option", "malformed option",
	"network failure", "no resources", "unsupported protocol", "user exceeded quota", "cannot provide external", "address mismatch", "excessive remote peers",
}

var errNotPCP = errors.New("not an answer by PCP")

// pcpGate is a gateway that speaks PCP. The nonce is what allows to change a mapping again: it must be the same after a crash,
// and nobody else's.
type pcpGate struct {
	at    netip.AddrPort
	nonce [12]byte
}

func newPCPGate(ip net.IP, nonce [12]byte) pcpGate {
	addr, _ := netip.AddrFromSlice(ip)
	return pcpGate{netip.AddrPortFrom(addr.Unmap(), pcpPort), nonce}
}

// pcpNonce is derived from a host's key. One that has none gets a nonce for this run.
func pcpNonce(key crypto.PrivKey) (nonce [12]byte) {
	_, _ = rand.Read(nonce[:]) // never fails
	if key == nil {
		return nonce
	}
	if raw, err := key.Raw(); err == nil {
		sum := hmac.New(sha256.New, raw)
		sum.Write([]byte("meerkat pcp nonce"))
		copy(nonce[:], sum.Sum(nil))
	}
	return nonce
}

// Hello fails where the gateway does not speak PCP. It blocks at most for patience.
func (g pcpGate) Hello(patience time.Duration) error {
	return g.ask(patience, func(self netip.Addr) []byte { return pcpRequest(pcpAnnounce, self, 0) }, func(answer []byte) error {
		_, err := pcpAnswer(answer, pcpAnnounce)
		return err
	})
}

// Open asks for a port: see [gate].
func (g pcpGate) Open(port openedPort, life, patience time.Duration) (outside netip.AddrPort, granted time.Duration, err error) {
	err = g.ask(patience, func(self netip.Addr) []byte {
		return g.mapping(pcpRequest(pcpMap, self, life), port, life)
	}, func(answer []byte) error {
		outside, granted, err = g.mapped(answer, port)
		return err
	})
	if err != nil {
		return netip.AddrPort{}, 0, fmt.Errorf("ask the gateway for port %d: %w", port.number, err)
	}
	return outside, granted, nil
}

// ask sends a request until an answer to it comes, and reads that: what is no answer to it is passed over.
func (g pcpGate) ask(patience time.Duration, request func(self netip.Addr) []byte, read func([]byte) error) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(g.at))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was buffered
	self := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	over := time.Now().Add(patience)
	buf := make([]byte, pcpMax+1)
	for pause := pcpFirst; time.Now().Before(over); pause *= 2 {
		if _, err := conn.Write(request(self)); err != nil {
			return err
		}
		next := time.Now().Add(pause)
		if next.After(over) {
			next = over
		}
		if err := pcpListen(conn, next, buf, read); !errors.Is(err, errMutePCP) {
			return err
		}
	}
	return errMutePCP
}

var errMutePCP = errors.New("the gateway does not answer by PCP")

func pcpListen(conn *net.UDPConn, until time.Time, buf []byte, read func([]byte) error) error {
	if err := conn.SetReadDeadline(until); err != nil {
		return err
	}
	for {
		n, err := conn.Read(buf)
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			return errMutePCP
		}
		if err != nil {
			return err // nobody listens to that port
		}
		if err := read(buf[:n]); !errors.Is(err, errNotPCP) {
			return err
		}
	}
}

// pcpRequest is the header of a request (section 7.1).
func pcpRequest(opcode byte, self netip.Addr, life time.Duration) []byte {
	b := []byte{pcpVersion, opcode, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(life.Seconds()))
	ip := self.As16()
	return append(b, ip[:]...)
}

// pcpAnswer checks the header of an answer (section 7.2), and gives the seconds in it.
func pcpAnswer(b []byte, opcode byte) (seconds uint32, err error) {
	if len(b) < 4 || len(b) > pcpMax || b[1]&^pcpResponse != opcode || b[1]&pcpResponse == 0 {
		return 0, errNotPCP
	}
	if b[0] != pcpVersion {
		return 0, errors.New("the gateway speaks another version of PCP")
	}
	if len(b) < pcpHeader || len(b)%4 != 0 {
		return 0, errNotPCP
	}
	if result := int(b[3]); result != 0 {
		text := fmt.Sprintf("result %d", result)
		if result < len(pcpResults) {
			text = pcpResults[result]
		}
		return 0, fmt.Errorf("the gateway refuses: %s", text)
	}
	return binary.BigEndian.Uint32(b[4:]), nil
}

// mapping adds to a header which port is asked for (section 11.1).
func (g pcpGate) mapping(b []byte, port openedPort, life time.Duration) []byte {
	b = append(b, g.nonce[:]...)
	b = append(b, pcpProtocol(port.protocol), 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, port.number)
	wish := port.number
	if life == 0 {
		wish = 0
	}
	b = binary.BigEndian.AppendUint16(b, wish)
	ip := netip.AddrFrom4([4]byte{}).As16() // any of IPv4
	return append(b, ip[:]...)
}

// mapped reads an answer for a port. One that belongs to another request is none.
func (g pcpGate) mapped(b []byte, port openedPort) (netip.AddrPort, time.Duration, error) {
	seconds, err := pcpAnswer(b, pcpMap)
	if err != nil {
		return netip.AddrPort{}, 0, err
	}
	if len(b) < pcpHeader+pcpMapSize {
		return netip.AddrPort{}, 0, errNotPCP
	}
	m := b[pcpHeader:]
	if [12]byte(m) != g.nonce || m[12] != pcpProtocol(port.protocol) || binary.BigEndian.Uint16(m[16:]) != port.number {
		return netip.AddrPort{}, 0, errNotPCP
	}
	outside := netip.AddrPortFrom(netip.AddrFrom16([16]byte(m[20:])).Unmap(), binary.BigEndian.Uint16(m[18:]))
	return outside, time.Duration(seconds) * time.Second, nil
}

// pcpProtocol is the number of a protocol, as IANA gave it.
func pcpProtocol(name string) byte {
	if name == "tcp" {
		return 6
	}
	return 17
}

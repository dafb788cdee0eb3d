package sim

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Quality is how one direction of a path between two nodes treats packets.
type Quality struct {
	Cut    bool          // nothing comes through
	Delay  time.Duration // of each packet
	Jitter time.Duration // up to so much more: packets overtake each other
	Loss   float64       // share of packets that vanish
	Twice  float64       // share of packets that come a second time
}

// Network carries packets between addresses, in the fake time of a bubble. Its methods may be called by many goroutines.
type Network struct {
	mu    sync.Mutex
	dice  *rand.Rand
	ends  map[netip.AddrPort]*end
	usual Quality
	paths map[[2]netip.Addr]Quality // other than usual
}

// NewNetwork makes a network without faults.
func NewNetwork(dice *rand.Rand) *Network {
	return &Network{
		dice: dice, ends: map[netip.AddrPort]*end{}, paths: map[[2]netip.Addr]Quality{},
		usual: Quality{Delay: time.Millisecond, Jitter: time.Millisecond},
	}
}

// Usual sets what all paths are like that Path has not been told of.
func (n *Network) Usual(q Quality) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.usual = q
}

// Path sets what the way from one address to another is like. The way back is another one.
func (n *Network) Path(from, to netip.Addr, q Quality) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[[2]netip.Addr{from, to}] = q
}

// Heal takes all faults away.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.usual = Quality{Delay: time.Millisecond, Jitter: time.Millisecond}
	clear(n.paths)
}

// Listen opens an end. An address has one end: a later one takes the place of an earlier one, as after a reboot.
func (n *Network) Listen(at netip.AddrPort) net.PacketConn {
	e := &end{
		net: n, at: at, inbox: make(chan packet, inboxSize),
		shut: make(chan struct{}), moved: make(chan struct{}),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ends[at] = e
	return e
}

// Unplug takes away what listens at an address: it hears and says nothing any more, and does not know.
func (n *Network) Unplug(at netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ap, e := range n.ends {
		if ap.Addr() == at {
			e.deaf = true
			delete(n.ends, ap)
		}
	}
}

// send throws the dice for a packet, and has it delivered.
func (n *Network) send(from *end, to netip.AddrPort, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	q, known := n.paths[[2]netip.Addr{from.at.Addr(), to.Addr()}]
	if !known {
		q = n.usual
	}
	if from.deaf || q.Cut || n.dice.Float64() < q.Loss {
		return
	}
	p := packet{from: from.at, data: append([]byte(nil), b...)}
	n.deliverLocked(p, to, q)
	if n.dice.Float64() < q.Twice {
		n.deliverLocked(p, to, q)
	}
}

func (n *Network) deliverLocked(p packet, to netip.AddrPort, q Quality) {
	d := q.Delay
	if q.Jitter > 0 {
		d += time.Duration(n.dice.Int64N(int64(q.Jitter)))
	}
	time.AfterFunc(d, func() {
		n.mu.Lock()
		e := n.ends[to]
		n.mu.Unlock()
		if e != nil {
			e.take(p)
		}
	})
}

const inboxSize = 512

// packet is a datagram on its way; data is shared and not changed.
type packet struct {
	from netip.AddrPort
	data []byte
}

// end is a net.PacketConn on a Network.
type end struct {
	net   *Network
	at    netip.AddrPort
	inbox chan packet
	shut  chan struct{}
	deaf  bool // under net.mu

	mu       sync.Mutex
	closed   bool
	deadline time.Time
	moved    chan struct{} // closed when deadline is another
}

// take puts a packet into the inbox; a full one drops it, as a socket does.
func (e *end) take(p packet) {
	select {
	case e.inbox <- p:
	default:
	}
}

func (e *end) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		e.mu.Lock()
		deadline, moved := e.deadline, e.moved
		e.mu.Unlock()
		p, err := e.await(deadline, moved)
		switch {
		case err == nil:
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		case err != errMoved: //nolint:errorlint // our own, never wrapped
			return 0, nil, err
		}
	}
}

// errMoved says that the deadline is another one now.
var errMoved = context.Canceled

func (e *end) await(deadline time.Time, moved chan struct{}) (packet, error) {
	var late <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-e.shut:
		return packet{}, net.ErrClosed
	case <-late:
		return packet{}, os.ErrDeadlineExceeded
	case <-moved:
		return packet{}, errMoved
	case p := <-e.inbox:
		return p, nil
	}
}

func (e *end) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-e.shut:
		return 0, net.ErrClosed
	default:
	}
	ap := to.(*net.UDPAddr).AddrPort()
	e.net.send(e, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), b)
	return len(b), nil
}

func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.shut)
	}
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.net.ends[e.at] == e {
		delete(e.net.ends, e.at)
	}
	return nil
}

func (e *end) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(e.at) }

func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = t
	close(e.moved)
	e.moved = make(chan struct{})
	return nil
}

// SetWriteDeadline does nothing: writing never blocks.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// SetReadBuffer and SetWriteBuffer are asked for by QUIC.
func (e *end) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing.
func (e *end) SetWriteBuffer(int) error { return nil }

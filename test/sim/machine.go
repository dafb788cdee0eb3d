package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	quicgo "github.com/quic-go/quic-go"
	"go.uber.org/fx"

	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/node"
)

const (
	port   = 7716
	rescan = 20 * time.Second
)

// Machine is one computer: a home, a folder, an address, and a node that runs on it or not.
type Machine struct {
	Name string
	Dir  string // the pool's folder
	Addr netip.Addr

	home  string
	net   *Network
	log   *slog.Logger
	state *vfs.MemFS

	cramped atomic.Bool // the state's disk has no room

	run *process // nil: it is off

	backup    *vfs.MemFS // nil: there is none
	burial    node.Burial
	peers     []string // addresses that are always tried: there is no discovery here
	forgetful bool     // it has lost its state once
}

// process is one run of a machine's node.
type process struct {
	home   *node.Home
	node   *node.Node
	cancel context.CancelFunc
	done   chan error

	mu    sync.Mutex
	disks []*Disk
	after *vfs.MemFS // what the state is after the crash; nil: none yet
}

// NewMachine makes a machine that is off.
func NewMachine(i int, base string, nw *Network, log *slog.Logger) *Machine {
	name := string(rune('a' + i))
	return &Machine{
		Name: name, Dir: filepath.Join(base, name, "files"), home: filepath.Join(base, name, "home"),
		Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), net: nw, log: log.With("on", name), state: vfs.NewCrashableMem(),
	}
}

// On reports whether the node runs.
func (m *Machine) On() bool { return m.run != nil }

// Node is the node that runs now; the machine must be on.
func (m *Machine) Node() *node.Node { return m.run.node }

// Start runs the node, and returns once it serves. The machine must be off.
func (m *Machine) Start() error {
	h, err := node.OpenHome(node.HomeConfig{
		Dir: m.home, State: cramped{m.state, &m.cramped}, Log: m.log, Env: func(string) (string, bool) { return "", false },
		Flags: map[string][]string{"name": {m.Name}},
	})
	if err != nil {
		return fmt.Errorf("open home of %s: %w", m.Name, err)
	}
	p := &process{home: h, done: make(chan error, 1)}
	p.node, err = node.New(node.Config{
		Home: h, Log: m.log, DHT: "off", MDNS: "off", Relay: "off", Name: m.Name,
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, // not used: Ground.Host listens
		Peers:  m.peers,
		Ground: node.Ground{Host: m.host, Disk: p.disk, Rescan: rescan, Burial: m.burial},
	})
	if err != nil {
		return errors.Join(err, h.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	up := make(chan struct{})
	go func() { p.done <- p.node.Run(ctx, func() { close(up) }) }()
	select {
	case <-up:
		m.run = p
		return nil
	case err := <-p.done:
		cancel()
		return errors.Join(fmt.Errorf("%s does not start", m.Name), err, h.Close())
	}
}

// Stop ends the node in order.
func (m *Machine) Stop() error {
	p := m.run
	m.run = nil
	p.cancel()
	return errors.Join(<-p.done, p.home.Close(), p.closeDisks())
}

// Crash takes the power away: the node says and writes nothing more, and what its state had not synced may be gone. What
// then still runs of it is ended before Crash returns.
func (m *Machine) Crash(dice *rand.Rand) error {
	p := m.run
	m.run = nil
	m.die(p, dice)
	p.cancel()
	err := <-p.done
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	_ = p.home.Close() // of a dead machine
	m.state = p.after
	return errors.Join(err, p.closeDisks())
}

// CrashIn has the power go away in the middle of the n-th change that the node makes to its folder from now; if it does
// not come so far, Crash makes up for it.
func (m *Machine) CrashIn(n int, dice *rand.Rand) {
	p := m.run
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.disks {
		d.After(n, func() { m.die(p, dice) })
	}
}

// die is the moment of the crash.
func (m *Machine) die(p *process, dice *rand.Rand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.after != nil {
		return
	}
	m.net.Unplug(m.Addr)
	for _, d := range p.disks {
		d.Die(dice)
	}
	p.after = m.state.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: dice.IntN(101), RNG: dice})
}

func (p *process) disk(root string) (folder.FS, error) {
	d, err := NewDisk(root)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disks = append(p.disks, d)
	return d, nil
}

func (p *process) closeDisks() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	for _, d := range p.disks {
		err = errors.Join(err, d.Close())
	}
	return err
}

// listens is where the node listens.
func (m *Machine) listens() string { return fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", m.Addr, port) }

// host makes a libp2p host with QUIC on the simulated network.
func (m *Machine) host(key crypto.PrivKey) (host.Host, error) {
	rm, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(rcmgr.InfiniteLimits), rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, err
	}
	return libp2p.New(
		libp2p.Identity(key),
		libp2p.DisableMetrics(),
		libp2p.ResourceManager(rm),
		libp2p.ListenAddrStrings(m.listens()),
		libp2p.Transport(quic.NewTransport),
		libp2p.DisableRelay(),
		libp2p.DisableIdentifyAddressDiscovery(),
		m.sockets(),
	)
}

// sockets puts QUIC on the simulated network. libp2p does not close a connection manager that it was handed, so that is
// done with the rest of the host.
func (m *Machine) sockets() libp2p.Option {
	on := []quicreuse.Option{
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source(m.Addr), nil }),
		quicreuse.OverrideListenUDP(func(_ string, at *net.UDPAddr) (net.PacketConn, error) {
			return m.net.Listen(netip.AddrPortFrom(m.Addr, uint16(at.Port))), nil
		}),
	}
	return libp2p.QUICReuse(func(l fx.Lifecycle, reset quicgo.StatelessResetKey, token quicgo.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
		cm, err := quicreuse.NewConnManager(reset, token, opts...)
		if err != nil {
			return nil, err
		}
		l.Append(fx.StopHook(cm.Close))
		return cm, nil
	}, on...)
}

// source is the one address that packets leave from.
type source netip.Addr

// PreferredSourceIPForDestination is that address.
func (s source) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return net.IP(netip.Addr(s).AsSlice()), nil
}

// String is the machine's name.
func (m *Machine) String() string { return m.Name }

// Midway has then called in the middle of the n-th change that the node makes to its folder from now; 0: never.
func (m *Machine) Midway(n int, then func()) {
	p := m.run
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.disks {
		d.After(n, then)
	}
}

// FailIn has so many of the changes fail that the node makes to its folder, from the n-th on.
func (m *Machine) FailIn(n, many int, err error) {
	p := m.run
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.disks {
		d.Fail(n, many, err)
	}
}

// Backup keeps a copy of the state as it is now.
func (m *Machine) Backup() { m.backup = m.state.CrashClone(vfs.CrashCloneCfg{}) }

// Restore puts the last backup, which must be there, in the place of the state of the machine, which must be off.
func (m *Machine) Restore() { m.state, m.backup = m.backup, nil }

// Forget gives the machine, which must be off, an empty disk for its state.
func (m *Machine) Forget() { m.state = vfs.NewCrashableMem() }

package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// Discovery finds nodes. Run blocks until ctx ends, calls found for each node
// that it meets (again and again, from any goroutine), and leaves no goroutine
// behind. What it finds is a hint: nothing about it is verified.
type Discovery interface {
	Run(ctx context.Context, found func(peer.AddrInfo)) error
}

// lan is Discovery by multicast DNS. It registers this node under each of its
// names and looks for others under them, and starts again whenever the
// machine's addresses change.
type lan struct {
	host  host.Host
	names func() []string
	poll  time.Duration
}

// lanName derives an mDNS service name that says nothing to those who do not
// know the id already: kind is "pool" or "node".
func lanName(kind string, id []byte) string {
	m := hmac.New(sha256.New, id)
	m.Write([]byte("meerkat mdns v1 " + kind))
	return "_mk" + hex.EncodeToString(m.Sum(nil)[:5]) + "._udp"
}

func (l *lan) Run(ctx context.Context, found func(peer.AddrInfo)) error {
	running := map[string]mdns.Service{}
	stop := func() {
		for name, s := range running {
			_ = s.Close() // nothing to lose
			delete(running, name)
		}
	}
	defer stop()
	var addrs []string
	for {
		if now := localAddrs(); !slices.Equal(now, addrs) {
			stop()
			if addrs != nil {
				refreshAddrs(l.host) // they are what is told
			}
			addrs = now
		}
		l.ensure(running, found)
		if !sleep(ctx, l.poll) {
			return nil
		}
	}
}

// ensure starts the services whose names are wanted and not running, and ends
// those that are no longer wanted.
func (l *lan) ensure(running map[string]mdns.Service, found func(peer.AddrInfo)) {
	wanted := l.names()
	for _, name := range wanted {
		if running[name] != nil {
			continue
		}
		s := mdns.NewMdnsService(l.host, name, notifee(found))
		if err := s.Start(); err != nil {
			_ = s.Close() // it will be tried again at the next poll
			continue
		}
		running[name] = s
	}
	for name, s := range running {
		if !slices.Contains(wanted, name) {
			_ = s.Close() // nothing to lose
			delete(running, name)
		}
	}
}

type notifee func(peer.AddrInfo)

func (f notifee) HandlePeerFound(p peer.AddrInfo) { f(p) }

// localAddrs lists this machine's own addresses, sorted, loopback left out.
func localAddrs() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return out
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

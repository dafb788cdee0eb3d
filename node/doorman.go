package node

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"
)

const (
	// Streams that a peer who is no member may open a second, and at once, and
	// connections that one address may. Members open streams as they need them.
	strangerStreams, strangerStreamsAtOnce = 5, 100
	addressConns, addressConnsAtOnce       = 3, 60
	// Streams that are refused to a stranger a second, and at once, before it is
	// shown the door: whoever asks that much hears nothing of the refusals.
	strangerRefusals, strangerRefusalsAtOnce = 5, 50
	bucketsMost                              = 4096
)

// doorman is the host's resource manager: libp2p's own, which bounds how much
// a peer holds at a time, and a bound on how often a stranger may ask.
type doorman struct {
	network.ResourceManager
	fellow   func(peer.ID) bool
	pest     func(peer.ID) // shuts a stranger out who does not stop; must not block
	streams  buckets
	refusals buckets
}

// OpenStream refuses strangers who open too many streams.
func (d *doorman) OpenStream(p peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	if dir == network.DirInbound && !d.fellow(p) && !d.streams.allow(string(p), strangerStreams, strangerStreamsAtOnce) {
		if !d.refusals.allow(string(p), strangerRefusals, strangerRefusalsAtOnce) {
			d.pest(p)
		}
		return nil, fmt.Errorf("%w: streams of a stranger", network.ErrResourceLimitExceeded)
	}
	return d.ResourceManager.OpenStream(p, dir)
}

// buckets are rate limits by name. The zero value is ready.
type buckets struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

func (b *buckets) allow(name string, r rate.Limit, burst int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.by[name]
	if l == nil {
		if b.by == nil || len(b.by) >= bucketsMost && !b.dropFullLocked() {
			b.by = map[string]*rate.Limiter{}
		}
		l = rate.NewLimiter(r, burst)
		b.by[name] = l
	}
	return l.Allow()
}

// dropFullLocked forgets who has been quiet; false when nobody has.
func (b *buckets) dropFullLocked() bool {
	now, before := time.Now(), len(b.by)
	for name, l := range b.by {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(b.by, name)
		}
	}
	return len(b.by) < before
}

// netOf names where an address is: an IPv4 address, or the /64 of an IPv6
// one; "" where it is neither.
func netOf(a ma.Multiaddr) string {
	ip, err := manet.ToIP(a)
	if err != nil {
		return ""
	}
	if four := ip.To4(); four != nil {
		return four.String()
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

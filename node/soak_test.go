package node_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// footprint is what this process holds.
type footprint struct {
	heap                int64
	goroutines, handles int
}

func (f footprint) String() string {
	return fmt.Sprintf("%.1f MB of heap, %d goroutines, %d descriptors", float64(f.heap)/(1<<20), f.goroutines, f.handles)
}

func measure(t *testing.T) footprint {
	t.Helper()
	runtime.GC()
	runtime.GC() // what had finalizers goes the second time
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		open = nil // there is none on this system
	}
	return footprint{int64(m.HeapAlloc), runtime.NumGoroutine(), len(open)}
}

// visit has a stranger with an identity of its own, from an address of its own,
// connect to a node, be identified, and go.
func visit(t *testing.T, i int, to peer.AddrInfo) {
	t.Helper()
	from := fmt.Sprintf("/ip4/127.%d.%d.%d/tcp/0", 1+i>>16, i>>8&255, 1+i&127)
	h, err := libp2p.New(libp2p.ListenAddrStrings(from), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Connect(t.Context(), to); err != nil {
		t.Fatalf("connection %d: %v", i, err)
	}
	awaitProtocols(t, h, to.ID)
}

// awaitProtocols waits until h knows what p speaks: they have met in earnest.
func awaitProtocols(t *testing.T, h host.Host, p peer.ID) {
	t.Helper()
	s, err := h.NewStream(network.WithNoDial(t.Context(), "soak"), p, "/ipfs/ping/1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Reset() // nothing more is wanted of it
}

// Nothing grows with the number of those who came and went. MEERKAT_SOAK says
// how many come: ten thousand in "just soak".
func TestSoak(t *testing.T) {
	visits := 60
	if s := os.Getenv("MEERKAT_SOAK"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		visits = n
	}
	a, _ := pair(t)
	to, err := peer.AddrInfoFromP2pAddr(ma.StringCast(a.n.Addrs()[0]))
	if err != nil {
		t.Fatal(err)
	}
	warm := visits / 5
	for i := range warm {
		visit(t, i, *to)
	}
	first := settled(t)
	t.Logf("after %6d: %v", warm, first)
	for i := warm; i < visits; i++ {
		visit(t, i, *to)
		if i%max(visits/10, 1) == 0 && i > warm {
			t.Logf("after %6d: %v", i, measure(t))
		}
	}
	last := settled(t)
	t.Logf("after %6d: %v", visits, last)
	if last.goroutines > first.goroutines+20 || last.handles > first.handles+10 {
		t.Errorf("grew from %v to %v", first, last)
	}
	// A thousand strangers at most are remembered.
	if grew := last.heap - first.heap; grew > 6<<20 {
		t.Errorf("the heap grew by %d bytes in %d visits", grew, visits-warm)
	}
}

// settled measures once no more goroutines end.
func settled(t *testing.T) footprint {
	t.Helper()
	f := measure(t)
	for end := time.Now().Add(soon); time.Now().Before(end); {
		<-time.After(500 * time.Millisecond)
		now := measure(t)
		if now.goroutines >= f.goroutines && now.handles >= f.handles {
			return now
		}
		f = now
	}
	return f
}

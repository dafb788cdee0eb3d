package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"

	"github.com/bwaklog/meerkat/test/lab"
)

// rawMember is a bare host with the identity of a member, linked to a relay
// that serves only members.
func rawMember(keyFile, relay string) (host.Host, *peer.AddrInfo, error) {
	b, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, nil, err
	}
	at, err := peer.AddrInfoFromString(relay)
	if err != nil {
		return nil, nil, err
	}
	h, err := rawHost("/ip4/0.0.0.0/tcp/0", libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/0.0.0.0/udp/0/quic-v1"))
	if err != nil {
		return nil, nil, err
	}
	return h, at, h.Connect(context.Background(), *at)
}

// rawServeBehind gives args[1] bytes through the relay args[0], as the member
// whose key is in args[2].
func rawServeBehind(args []string) error {
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	h, relay, err := rawMember(args[2], args[0])
	if err != nil {
		return err
	}
	defer h.Close()
	if _, err := client.Reserve(context.Background(), h, *relay); err != nil {
		return err
	}
	return rawAnswer(h, args[0]+"/p2p-circuit", size)
}

// rawFetchThrough reads from args[0], an address through a relay, as the member
// whose key is in args[1].
func rawFetchThrough(args []string) error {
	relay, _, _ := strings.Cut(args[0], "/p2p-circuit")
	h, _, err := rawMember(args[1], relay)
	if err != nil {
		return err
	}
	defer h.Close()
	return rawTake(h, args[0])
}

// TestRelay has two members behind routers that no hole can be punched through
// carry a file through a third one, which does not want it; and then, with
// their identities and through the same relay, bare libp2p.
func TestRelay(t *testing.T) {
	l := lab.New(t)
	pub, home, office := l.AddPublic("pub"), l.AddRouter(lab.Symmetric).AddHost("home"), l.AddRouter(lab.Symmetric).AddHost("office")
	pub.Up()
	relay := pub.Addrs()
	home.Cli("init", home.Dir, "--name", "home")
	home.Args = []string{"--peer", relay[0]}
	home.Up()
	pub.OK(os.WriteFile(pub.Path(".meerkatignore.local"), []byte("/big\n"), 0o644))
	pub.Cli("join", home.Cli("invite", "-q"), pub.Dir, "--timeout", "30s")
	until(t, "home is reachable through pub", 30*time.Second, 50*time.Millisecond, func() bool {
		return strings.Contains(strings.Join(home.Addrs(), " "), "p2p-circuit")
	})
	office.Up()
	office.Cli("join", home.Cli("invite", "-q"), office.Dir, "--timeout", "30s")
	l.Equal(home, office)

	const size = 256 << 20
	noise(t, beside(home, "big"), size)
	stop := profile(t, "relay", pub, home, office)
	before, flow := spent(t, home, office), sampleIn(t, office)
	home.OK(os.Rename(beside(home, "big"), home.Path("big")))
	visible(t, office.Path("big"), size, 2*time.Minute)
	stop()
	fetch, _, _ := flow.end()
	use := spent(t, home, office).since(before)
	link := linkTo(t, office, home.ID())
	if !strings.Contains(link, "p2p-circuit") || pub.Exists("big") {
		t.Fatalf("the file did not come through the relay: %s", link)
	}
	keys := []string{filepath.Join(home.Home, "identity.key"), filepath.Join(office.Home, "identity.key")}
	home.Stop()
	office.Stop()
	rate := size / 1e6 / fetch.Seconds()
	for _, transport := range []string{"quic-v1", "tcp"} {
		at := relay[slices.IndexFunc(relay, func(a string) bool { return strings.Contains(a, "11.0.0.1/") && strings.Contains(a, transport) })]
		raw, rawCPU := rawPair(t, home, office,
			[]string{"serve behind a relay", at, strconv.Itoa(size), keys[0]}, []string{"fetch through a relay", keys[1]})
		addRatio("256 MiB through a member's relay, fetch, over "+transportIn(link), "%.0f MB/s", rate, size/1e6/raw.Seconds(), "raw libp2p over "+transport, atLeast(0.5, "%.1f × raw"))
		add("  CPU of both nodes", "%.2f s", use.cpu.Seconds(), fmt.Sprintf("raw %.2f s", rawCPU.Seconds()), "", bar{})
	}
}

// linkTo is the address by which h is linked to a member.
func linkTo(t *testing.T, h *lab.Host, id string) string {
	t.Helper()
	for _, m := range pool(t, h).Members {
		if m.ID == id {
			return m.Link.Addr
		}
	}
	return ""
}

func transportIn(addr string) string {
	if strings.Contains(addr, "/quic-v1/") {
		return "quic-v1"
	}
	return "tcp"
}

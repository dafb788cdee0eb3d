package node

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func mustAddr(t *testing.T, s string) ma.Multiaddr {
	t.Helper()
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func someID(t *testing.T) peer.ID {
	t.Helper()
	id, err := freshID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestHintsAreOfEachKind(t *testing.T) {
	byKind := map[int][]string{
		hintLAN: {"lan1", "lan2"}, hintPublic: {"pub1"}, hintMember: {"keeper"}, hintRelayed: {"relay1", "relay2"}, hintLoopback: {"lo"},
	}
	if got, want := pickHints(byKind, 4), []string{"lan1", "pub1", "keeper", "relay1"}; !slices.Equal(got, want) {
		t.Errorf("pickHints = %v, want %v", got, want)
	}
	delete(byKind, hintPublic)
	delete(byKind, hintMember)
	if got, want := pickHints(byKind, 4), []string{"lan1", "relay1", "lan2", "relay2"}; !slices.Equal(got, want) {
		t.Errorf("pickHints = %v, want %v", got, want)
	}
	if got, want := pickHints(map[int][]string{hintLoopback: {"lo"}}, 4), []string{"lo"}; !slices.Equal(got, want) {
		t.Errorf("pickHints = %v, want %v", got, want)
	}
}

func TestAddressesThroughARelay(t *testing.T) {
	id := someID(t)
	direct := mustAddr(t, "/ip4/11.0.0.1/udp/7716/quic-v1")
	tail := "/p2p/" + id.String() + "/p2p-circuit"
	got := throughRelay(id, []ma.Multiaddr{direct, mustAddr(t, direct.String()+"/p2p/"+id.String()), mustAddr(t, direct.String()+tail)})
	if len(got) != 1 || got[0].String() != direct.String()+tail {
		t.Errorf("throughRelay = %v, want the one way over the relay", got)
	}
	if r := relayOf(got[0].String()); r != id {
		t.Errorf("relayOf = %s, want %s", r, id)
	}
	if r := relayOf(direct.String()); r != "" {
		t.Errorf("relayOf a direct address = %s", r)
	}
}

func TestRendezvousChangesDailyAndWithThePool(t *testing.T) {
	day := time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC)
	keys := map[string]bool{}
	for _, secret := range [][32]byte{{1}, {2}} {
		for _, at := range []time.Time{day, day.Add(-20 * time.Hour), day.Add(2 * time.Minute)} {
			k, err := rendezvous(secret, at)
			if err != nil {
				t.Fatal(err)
			}
			keys[k.String()] = true
		}
	}
	if len(keys) != 4 {
		t.Errorf("%d keys of two pools on two days, want 4", len(keys))
	}
}

func TestNATKindTakesTwoObservers(t *testing.T) {
	easy, other := mustAddr(t, "/ip4/11.0.0.1/udp/7716/quic-v1"), mustAddr(t, "/ip4/11.0.0.1/udp/9999/quic-v1")
	for _, tt := range []struct {
		name string
		seen []ma.Multiaddr
		want string
	}{
		{"nobody has seen it", nil, natUnknown},
		{"one observer", []ma.Multiaddr{easy}, natUnknown},
		{"two see one port", []ma.Multiaddr{easy, easy}, natEasy},
		{"two see two ports", []ma.Multiaddr{easy, other}, natSymmetric},
	} {
		o := &outlook{seen: map[sighter]sighting{}}
		for _, a := range tt.seen {
			o.seen[sighter{someID(t), "quic-v1"}] = sighting{addr: a, port: 7716, at: time.Now()}
		}
		if hasPublicIPv4() {
			t.Skip("this machine has a public address")
		}
		if got := o.NAT(); got != tt.want {
			t.Errorf("%s: NAT() = %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestReunionText(t *testing.T) {
	met := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	n := &reunion{names: []string{"pi", "laptop", "pi"}, since: met.Add(-3 * time.Hour), began: met}
	want := "together again with laptop, pi after 3h0m0s apart: 12 changes on this side, 1 change on the other, 1 file changed on both"
	if got := n.text(12, 1, 1); got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
}

func TestDialErrorsInPlainWords(t *testing.T) {
	for err, want := range map[string]string{
		"dial tcp4 10.0.0.1:7716: connect: connection refused": "nothing listens at the address where it last was",
		"dial tcp4 10.0.0.1:7716: i/o timeout":                 "no answer from any address where it was",
		"something new":                                        "none of its addresses could be dialled",
	} {
		if got := dialText(err); got != want {
			t.Errorf("dialText(%q) = %q, want %q", err, got, want)
		}
	}
}

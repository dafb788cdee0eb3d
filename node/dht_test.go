package node

import (
	"crypto/sha256"
	"log/slog"
	"math/bits"
	"slices"
	"testing"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	kadpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

func loopHost(t *testing.T, key crypto.PrivKey) host.Host {
	t.Helper()
	h, err := newHost(hostConfig{key: key, listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// near says how many bits a node's place in the DHT has in common with that of
// a key.
func near(id peer.ID, key string) int {
	a, b := sha256.Sum256([]byte(id)), sha256.Sum256([]byte(key))
	n := 0
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return n + bits.LeadingZeros8(x)
		}
		n += 8
	}
	return n
}

// keyNear makes the key of a node that has its place next to a DHT key.
func keyNear(t *testing.T, key string) crypto.PrivKey {
	t.Helper()
	for {
		k := newKey(t)
		if id, err := peer.IDFromPrivateKey(k); err != nil || near(id, key) >= 7 {
			return k
		}
	}
}

// sybil is a node of the DHT that tells lies: it names its like as the closest
// nodes and providers, and addresses where nobody is for everybody else.
type sybil struct {
	host host.Host
	gang *[]peer.AddrInfo
}

func (s sybil) serve(st network.Stream) {
	defer st.Close()
	r, w := pbio.NewDelimitedReader(st, 1<<20), pbio.NewDelimitedWriter(st)
	for {
		var q kadpb.Message
		if r.ReadMsg(&q) != nil {
			return
		}
		a := kadpb.NewMessage(q.GetType(), q.GetKey(), 0)
		a.CloserPeers = kadpb.RawPeerInfosToPBPeers((*s.gang)[:min(len(*s.gang), 20)])
		switch q.GetType() {
		case kadpb.Message_FIND_NODE:
			lie := peer.AddrInfo{ID: peer.ID(q.GetKey())}
			for port := range 40 {
				lie.Addrs = append(lie.Addrs, ma.StringCast("/ip4/127.7.7.7/tcp/"+string(rune('1'+port%9))+"00"))
			}
			a.CloserPeers = append(a.CloserPeers, kadpb.RawPeerInfosToPBPeers([]peer.AddrInfo{lie})...)
		case kadpb.Message_GET_PROVIDERS:
			a.ProviderPeers = kadpb.RawPeerInfosToPBPeers(*s.gang)
		case kadpb.Message_ADD_PROVIDER:
			continue
		}
		if w.WriteMsg(a) != nil {
			return
		}
	}
}

// sybils puts n lying nodes next to each key.
func sybils(t *testing.T, n int, keys ...string) []peer.AddrInfo {
	t.Helper()
	gang := &[]peer.AddrInfo{}
	for _, key := range keys {
		for range n {
			h := loopHost(t, keyNear(t, key))
			h.SetStreamHandler(dhtPrefix+"/kad/1.0.0", sybil{h, gang}.serve)
			*gang = append(*gang, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
		}
	}
	return *gang
}

// seeker is a finder and the links that it finds for, at work.
func seeker(t *testing.T, h host.Host, entry peer.AddrInfo, secret [32]byte, missed ...peer.ID) (*finder, chan peer.AddrInfo) {
	t.Helper()
	book := h.Peerstore()
	book.AddAddrs(entry.ID, entry.Addrs, time.Hour)
	if err := h.Connect(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	l := newLinks(h, log, nil, func() []peer.ID { return missed }, func() {})
	f := &finder{
		host: h, log: log, tries: map[string]*try{},
		first:   func() []peer.AddrInfo { return []peer.AddrInfo{entry} },
		missed:  func() []peer.ID { return slices.DeleteFunc(slices.Clone(missed), l.online) },
		secrets: func() [][32]byte { return [][32]byte{secret} },
	}
	found := make(chan peer.AddrInfo, 1<<12)
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error { return l.Run(ctx) })
	g.Go(func() error { return f.Run(ctx, func(p peer.AddrInfo) { l.Found(p); found <- p }) })
	t.Cleanup(func() {
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return f, found
}

// Strangers who have taken every place next to a member and next to its pool's
// key, and answer all questions with lies, do not keep a node from finding it,
// as long as the node that both entered the DHT by is honest.
func TestFinder_DHTFullOfStrangers(t *testing.T) {
	t.Parallel()
	secret := [32]byte{1}
	key, err := rendezvous(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	entry, member, self := loopHost(t, newKey(t)), loopHost(t, newKey(t)), loopHost(t, newKey(t))
	d, err := dht.New(entry, dht.ProtocolPrefix(dhtPrefix), dht.DisableValues(), dht.Mode(dht.ModeServer))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	at := peer.AddrInfo{ID: entry.ID(), Addrs: entry.Addrs()}
	gang := sybils(t, 20, string(member.ID()), string(key.Hash()))
	seeker(t, member, at, secret)
	for _, s := range gang {
		if err := self.Connect(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	f, found := seeker(t, self, at, secret, member.ID())
	end := time.After(soonFound)
	for self.Network().Connectedness(member.ID()) != network.Connected {
		select {
		case p := <-found:
			if p.ID != member.ID() {
				t.Errorf("a stranger counts as found: %s", p.ID)
			}
		case <-end:
			t.Fatalf("not found; %d nodes in the table, addresses %v", len(f.Known()), self.Peerstore().Addrs(member.ID()))
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Logf("linked; %d nodes in the table, %d in the peerstore", len(f.Known()), len(self.Peerstore().PeersWithAddrs()))
}

const soonFound = 30 * time.Second

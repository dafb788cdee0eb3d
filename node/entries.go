package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	kadpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
)

const (
	maxEntries  = 16 // nodes that are asked beside a lookup
	entryWait   = 5 * time.Second
	entryAnswer = 1 << 20
)

// entries are the nodes that the private DHT is entered by: those that the
// owner named, and members. They are asked by themselves beside every lookup:
// in one they are some of very many where strangers have flooded the DHT, and
// who makes up ids near a key keeps a lookup from ever coming to them.
type entries struct {
	host  host.Host
	nodes []peer.ID
}

// entries are those that this node is linked to.
func (f *finder) entries() entries {
	e := entries{host: f.host}
	if f.public {
		return e // there nobody in particular is to be trusted
	}
	for _, p := range f.first() {
		if len(e.nodes) < maxEntries && f.host.Network().Connectedness(p.ID) == network.Connected {
			e.nodes = append(e.nodes, p.ID)
		}
	}
	return e
}

// each has ask put one question to every node, all at the same time. Who does
// not answer, or is not of the DHT, counts for nothing.
func (e entries) each(ask func(m *kadpb.ProtocolMessenger, p peer.ID)) {
	m, err := kadpb.NewProtocolMessenger(e)
	if err != nil {
		return // it takes no options that could be wrong
	}
	var wg sync.WaitGroup
	for _, p := range e.nodes {
		wg.Go(func() { ask(m, p) })
	}
	wg.Wait()
}

// locate asks for the addresses of a node.
func (e entries) locate(ctx context.Context, id peer.ID, found func(peer.AddrInfo)) {
	e.each(func(m *kadpb.ProtocolMessenger, p peer.ID) {
		got, _ := m.GetClosestPeers(ctx, p, id) // nothing where it fails
		for _, a := range got {
			if a.ID == id {
				found(*a)
			}
		}
	})
}

// under asks who is to be met under a key.
func (e entries) under(ctx context.Context, key cid.Cid, found func(peer.AddrInfo)) {
	e.each(func(m *kadpb.ProtocolMessenger, p peer.ID) {
		got, _, _ := m.GetProviders(ctx, p, key.Hash()) // nothing where it fails
		for _, a := range got {
			found(*a)
		}
	})
}

// tell says that this node is to be met under a key.
func (e entries) tell(ctx context.Context, key cid.Cid) {
	self := peer.AddrInfo{ID: e.host.ID(), Addrs: e.host.Addrs()}
	e.each(func(m *kadpb.ProtocolMessenger, p peer.ID) {
		_ = m.PutProviderAddrs(ctx, p, key.Hash(), self) // the lookup tells others
	})
}

// SendRequest puts a question and waits for the answer.
func (e entries) SendRequest(ctx context.Context, p peer.ID, q *kadpb.Message) (*kadpb.Message, error) {
	s, err := e.send(ctx, p, q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Reset() }() // all has been read
	var a kadpb.Message
	if err := pbio.NewDelimitedReader(s, entryAnswer).ReadMsg(&a); err != nil {
		return nil, fmt.Errorf("dht answer: %w", err)
	}
	return &a, nil
}

// SendMessage says something that has no answer.
func (e entries) SendMessage(ctx context.Context, p peer.ID, m *kadpb.Message) error {
	s, err := e.send(ctx, p, m)
	if err != nil {
		return err
	}
	return s.Close()
}

func (e entries) send(ctx context.Context, p peer.ID, m *kadpb.Message) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "dht"), entryWait)
	defer cancel()
	s, err := e.host.NewStream(ctx, p, dhtPrefix+"/kad/1.0.0")
	if err != nil {
		return nil, err
	}
	_ = s.SetDeadline(time.Now().Add(entryWait)) // a stream that takes none fails below
	if err := pbio.NewDelimitedWriter(s).WriteMsg(m); err != nil {
		_ = s.Reset() // it is of no use
		return nil, err
	}
	return s, nil
}

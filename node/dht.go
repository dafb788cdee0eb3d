package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

const (
	// dhtPrefix keeps our private DHT apart from every other one.
	dhtPrefix = "/meerkat"
	dhtTick   = time.Second
	findWait  = 20 * time.Second
	findFirst = 5 * time.Second
	findMost  = 5 * time.Minute
	tellEvery = 2 * time.Hour // providers are kept for a day or two
	tellRetry = 30 * time.Second
	lookEvery = time.Minute
	lookDays  = 7 // that a clock may be wrong by
)

// rendezvous is the DHT key under which the members of a pool meet on one day.
// Only they can derive it: it is made from the pool's secret.
func rendezvous(secret [32]byte, day time.Time) (cid.Cid, error) {
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte("meerkat rendezvous v1 " + day.UTC().Format(time.DateOnly)))
	sum, err := multihash.Encode(m.Sum(nil), multihash.SHA2_256)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, sum), nil
}

// finder is Discovery by a Kademlia DHT: it finds the nodes that are missed by
// their ids, tells in the DHT where members of its pools meet, and looks there.
// What it finds is a hint.
type finder struct {
	host    host.Host
	log     *slog.Logger
	public  bool                   // the IPFS Amino DHT, as a client; else the private one
	first   func() []peer.AddrInfo // whom to ask first
	missed  func() []peer.ID       // nodes to be found
	secrets func() [][32]byte      // of this node's pools

	mu    sync.Mutex
	tries map[string]*try
	table []peer.ID // the routing table
	looks int       // for those under a pool's keys
}

func (f *finder) kind() string {
	if f.public {
		return "public"
	}
	return "private"
}

// Known are the nodes of the DHT in this one's routing table. A nil finder
// knows none.
func (f *finder) Known() []peer.ID {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table
}

// Run looks until ctx ends.
func (f *finder) Run(ctx context.Context, found func(peer.AddrInfo)) error {
	d, err := dht.New(f.host, f.options()...)
	if err != nil {
		return fmt.Errorf("dht: %w", err)
	}
	defer d.Close()
	if err := d.Bootstrap(ctx); err != nil {
		return fmt.Errorf("dht: %w", err)
	}
	for sleep(ctx, dhtTick) {
		table := d.RoutingTable().ListPeers()
		f.mu.Lock()
		f.table = table
		f.mu.Unlock()
		if len(table) == 0 {
			continue // nobody to ask yet
		}
		f.turn(ctx, d, found)
	}
	return nil
}

func (f *finder) options() []dht.Option {
	if f.public {
		return []dht.Option{dht.Mode(dht.ModeClient), dht.BootstrapPeers(dht.GetDefaultBootstrapPeerAddrInfos()...)}
	}
	return []dht.Option{
		dht.ProtocolPrefix(dhtPrefix), dht.DisableValues(),
		dht.Mode(dht.ModeAuto), dht.BootstrapPeersFunc(f.first),
	}
}

// turn does what is due.
func (f *finder) turn(ctx context.Context, d *dht.IpfsDHT, found func(peer.AddrInfo)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	missed := f.missed()
	for i, p := range missed {
		if i < maxDials && f.due("id "+string(p)) {
			wg.Go(func() { f.find(ctx, d, p, found) })
		}
	}
	for _, secret := range f.secrets() {
		if f.due("tell " + string(secret[:])) {
			wg.Go(func() { f.tell(ctx, d, secret) })
		}
		if len(missed) > 0 && f.due("look "+string(secret[:])) {
			wg.Go(func() { f.look(ctx, d, secret, found) })
		}
	}
}

func (f *finder) due(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tries[key]
	if t == nil {
		if len(f.tries) > 4*maxSightings {
			clear(f.tries) // pools and members of the past
		}
		t = &try{}
		f.tries[key] = t
	}
	return time.Now().After(t.next)
}

// later puts the next turn of key off.
func (f *finder) later(key string, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tries[key]; t != nil {
		t.next, t.fails = time.Now().Add(jitter(d)), t.fails+1
	}
}

func (f *finder) fails(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.tries[key]; t != nil {
		return t.fails
	}
	return 0
}

func (f *finder) find(ctx context.Context, d *dht.IpfsDHT, p peer.ID, found func(peer.AddrInfo)) {
	ctx, cancel := context.WithTimeout(ctx, findWait)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { f.entries().locate(ctx, p, found) })
	key := "id " + string(p)
	info, err := d.FindPeer(ctx, p)
	f.later(key, min(findFirst<<min(f.fails(key), 10), findMost))
	if err != nil {
		f.log.Debug("find", "peer", p, "err", err)
		return
	}
	found(info)
}

// tell puts this node under the pool's key of today.
func (f *finder) tell(ctx context.Context, d *dht.IpfsDHT, secret [32]byte) {
	ctx, cancel := context.WithTimeout(ctx, findWait)
	defer cancel()
	wait := tellRetry
	key, err := rendezvous(secret, time.Now())
	if err == nil {
		f.entries().tell(ctx, key)
		err = d.Provide(ctx, key, true)
	}
	if err != nil {
		f.log.Debug("tell the DHT", "err", err)
	} else {
		wait = tellEvery
	}
	f.later("tell "+string(secret[:]), wait)
}

// look asks who is under the pool's keys of today and of days around it, since
// clocks differ. Of what comes only the addresses of those who are missed count:
// anybody can put himself under a key that he has seen asked for.
func (f *finder) look(ctx context.Context, d *dht.IpfsDHT, secret [32]byte, found func(peer.AddrInfo)) {
	ctx, cancel := context.WithTimeout(ctx, findWait)
	defer cancel()
	defer f.later("look "+string(secret[:]), lookEvery)
	missed := map[peer.ID]bool{}
	for _, p := range f.missed() {
		missed[p] = true
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, days := range f.days() {
		key, err := rendezvous(secret, time.Now().AddDate(0, 0, days))
		if err != nil {
			f.log.Warn("rendezvous key", "err", err)
			return
		}
		take := func(p peer.AddrInfo) {
			if missed[p.ID] {
				found(p)
			}
		}
		wg.Go(func() { f.entries().under(ctx, key, take) })
		wg.Go(func() {
			for p := range d.FindProvidersAsync(ctx, key, 0) {
				take(p)
			}
		})
	}
}

// days are those whose keys are looked under this time: today, yesterday and
// tomorrow, and a pair of the days around them.
func (f *finder) days() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := 2 + f.looks%(lookDays-1)
	f.looks++
	return []int{0, -1, 1, -more, more}
}

// newFinder makes the node's finder, or nil where the DHT is off.
func (n *Node) newFinder() *finder {
	if n.conf.DHT == "off" || n.conf.DHT == "" && len(n.conf.Bootstrap) == 0 {
		return nil
	}
	return &finder{
		host: n.host, log: n.log, public: n.conf.DHT == "public", tries: map[string]*try{},
		first: n.firstContacts, missed: n.missed,
		secrets: func() [][32]byte {
			var out [][32]byte
			for _, r := range n.known() {
				out = append(out, r.st.Roster().Secret())
			}
			return out
		},
	}
}

// firstContacts are the nodes that the DHT is entered by: those named by the
// owner, and members.
func (n *Node) firstContacts() []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, p := range append(n.links.fixedPeers(), n.wanted()...) {
		if addrs := n.host.Peerstore().Addrs(p); len(addrs) > 0 {
			out = append(out, peer.AddrInfo{ID: p, Addrs: addrs})
		}
	}
	return out
}

// missed are members and nodes to be joined that this node is not linked to.
func (n *Node) missed() []peer.ID {
	var out []peer.ID
	for _, p := range append(n.joiner.targets(), n.wanted()...) {
		if p != n.self && !n.links.online(p) {
			out = append(out, p)
		}
	}
	return out
}

// targets are the nodes that pending joins ask by id, and the issuers of
// pending tickets.
func (j *joiner) targets() []peer.ID {
	var out []peer.ID
	for _, job := range j.open() {
		if job.ticket != nil {
			out = append(out, job.ticket.Issuer)
		} else {
			out = append(out, job.target)
		}
	}
	return out
}

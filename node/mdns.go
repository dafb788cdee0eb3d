package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"
)

const (
	mdnsPoll   = 2 * time.Second
	mdnsPort   = 4001            // of the SRV record: those who look read the addresses of the TXT record
	mdnsAddr   = "dnsaddr="      // before each address there, as libp2p writes it
	mdnsAddrs  = 8               // so that an answer fits one packet
	queryWait  = 2 * time.Second // for the answers to one query
	queryFirst = mdnsPoll        // pause after the first query; doubled each time (RFC 6762, section 5.2)
	queryMost  = 5 * time.Minute
)

// Discovery finds nodes. Run blocks until ctx ends, calls found for each node
// that it meets (again and again, from any goroutine), and leaves no goroutine
// behind. What it finds is a hint: nothing about it is verified.
type Discovery interface {
	Run(ctx context.Context, found func(peer.AddrInfo)) error
}

// lan is Discovery by multicast DNS. It answers to each of this node's names
// all the time, which costs nothing while nobody asks. It asks only for
// those whom this node misses: at once, then less and less often, and anew when
// it misses others or the machine's addresses change.
type lan struct {
	host   host.Host
	log    *slog.Logger
	shown  func() []string          // names that this node answers to
	sought func() map[string]string // names to ask for; the value changes with whom they are asked for
	poll   time.Duration

	told     []ma.Multiaddr // with every name
	served   map[string]answerer
	answer   func(name string) (answerer, error) // begins to answer to a name
	searches map[string]*search
}

// answerer answers to one name until it is shut down.
type answerer interface{ Shutdown() }

// search is what has been done to find somebody under a name.
type search struct {
	whom  string
	next  time.Time
	pause time.Duration
}

// Run shows and seeks until ctx ends.
func (l *lan) Run(ctx context.Context, found func(peer.AddrInfo)) error {
	l.served, l.searches, l.answer = map[string]answerer{}, map[string]*search{}, l.register
	defer l.hide(nil)
	g := &errgroup.Group{}
	var addrs []string
	for {
		if now := localAddrs(); !slices.Equal(now, addrs) {
			l.hide(nil)
			clear(l.searches)
			if addrs != nil {
				refreshAddrs(l.host) // they are what is told
			}
			addrs = now
		}
		l.restate(l.addrs())
		l.show(l.shown())
		for _, name := range l.due(l.sought(), time.Now()) {
			g.Go(func() error { l.query(ctx, name, found); return nil })
		}
		if !sleep(ctx, l.poll) {
			return g.Wait()
		}
	}
}

// restate takes all names back where they would be told with other addresses
// than before: the host learns of an interface a moment after this machine has
// it.
func (l *lan) restate(addrs []ma.Multiaddr) {
	if !slices.EqualFunc(addrs, l.told, ma.Multiaddr.Equal) {
		l.hide(nil)
		l.told = addrs
	}
}

// show answers to the wanted names, and to no others.
func (l *lan) show(wanted []string) {
	l.hide(wanted)
	for _, name := range wanted {
		if l.served[name] != nil {
			continue
		}
		s, err := l.answer(name)
		if err != nil {
			l.log.Debug("mdns", "err", err)
			continue // it will be tried again at the next poll: an interface may come
		}
		l.served[name] = s
	}
}

// hide takes back all names but those to keep.
func (l *lan) hide(keep []string) {
	for name, s := range l.served {
		if !slices.Contains(keep, name) {
			s.Shutdown()
			delete(l.served, name)
		}
	}
}

func (l *lan) register(name string) (answerer, error) {
	var ips, txt []string
	for _, a := range l.told {
		if ip, err := manet.ToIP(a); err == nil && !slices.Contains(ips, ip.String()) {
			ips = append(ips, ip.String())
		}
		txt = append(txt, mdnsAddr+peerAddr(a, l.host.ID()))
	}
	instance := make([]byte, 16)
	_, _ = rand.Read(instance) // it never fails
	tag := hex.EncodeToString(instance)
	return zeroconf.RegisterProxy(tag, name, "local", mdnsPort, tag, ips, txt, nil)
}

// addrs are those of the machine's own interfaces, those of IPv4 first;
// loopback only where there is nothing else.
func (l *lan) addrs() []ma.Multiaddr {
	var far, near []ma.Multiaddr
	own := map[string]bool{}
	for _, s := range localAddrs() {
		ip, _, _ := strings.Cut(s, "/")
		own[ip] = true
	}
	for _, a := range l.host.Addrs() {
		ip, err := manet.ToIP(a)
		switch {
		case err != nil || isRelayed(a):
		case ip.IsLoopback():
			near = append(near, a)
		case own[ip.String()] && !ip.IsLinkLocalUnicast():
			far = append(far, a)
		}
	}
	if len(far) == 0 {
		far = near
	}
	slices.SortStableFunc(far, func(a, b ma.Multiaddr) int { return family(a) - family(b) })
	return far[:min(len(far), mdnsAddrs)]
}

// family is 4 or 6, by the address's IP.
func family(a ma.Multiaddr) int {
	if ap, ok := addrPort(a); ok && ap.Addr().Is4() {
		return 4
	}
	return 6
}

// due lists the names to ask for now, and puts their next turn off.
func (l *lan) due(sought map[string]string, now time.Time) (out []string) {
	for name := range l.searches {
		if _, ok := sought[name]; !ok {
			delete(l.searches, name)
		}
	}
	for name, whom := range sought {
		s := l.searches[name]
		if s == nil || s.whom != whom {
			s = &search{whom: whom, pause: queryFirst / 2}
			l.searches[name] = s
		}
		if now.Before(s.next) {
			continue
		}
		s.pause = min(2*s.pause, queryMost)
		s.next = now.Add(s.pause)
		out = append(out, name)
	}
	return out
}

// query asks once who answers to name, and takes in what comes.
func (l *lan) query(ctx context.Context, name string, found func(peer.AddrInfo)) {
	ctx, cancel := context.WithTimeout(ctx, queryWait)
	defer cancel()
	answers, done := make(chan *zeroconf.ServiceEntry, 64), make(chan struct{})
	g := &errgroup.Group{}
	g.Go(func() error {
		defer close(done)
		return zeroconf.Browse(ctx, name, "local", answers)
	})
	g.Go(func() error { l.takeAll(answers, done, found); return nil })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		l.log.Debug("mdns", "err", err)
	}
}

// takeAll takes answers until the query is done, which waits for that.
func (l *lan) takeAll(answers <-chan *zeroconf.ServiceEntry, done <-chan struct{}, found func(peer.AddrInfo)) {
	for {
		select {
		case <-done:
			return
		case e, ok := <-answers:
			if !ok {
				return
			}
			l.take(e.Text, found)
		}
	}
}

// take reads the addresses of an answer.
func (l *lan) take(txt []string, found func(peer.AddrInfo)) {
	for _, p := range readTXT(txt) {
		if p.ID != l.host.ID() {
			found(p)
		}
	}
}

// readTXT takes the addresses out of an answer's TXT record; what is no address
// of a node counts for nothing.
func readTXT(txt []string) []peer.AddrInfo {
	var all []ma.Multiaddr
	for _, s := range txt {
		s, ok := strings.CutPrefix(s, mdnsAddr)
		if !ok || len(all) >= 2*mdnsAddrs {
			continue
		}
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			continue
		}
		if _, id := peer.SplitAddr(a); id != "" {
			all = append(all, a)
		}
	}
	infos, err := peer.AddrInfosFromP2pAddrs(all...)
	if err != nil {
		return nil
	}
	return infos
}

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

package node

import (
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/swarm"
)

const (
	scoreMost  = 100.0 // from here on a peer is shut out
	scoreHalf  = time.Minute
	shutFirst  = time.Minute // doubled each time
	shutMost   = time.Hour
	goodAgain  = 24 * time.Hour // without an offence, after which all is forgotten
	tellAgain  = time.Minute    // the same offence of a peer is not told of twice within
	peersMost  = 4096           // remembered
	tellMost   = 8              // kinds of offences told of one peer
	gravePoint = 20.0           // an offence of this weight is told of at once; lesser ones when they add up
)

// offence is a way to misbehave: what people are told, and how much it weighs.
// What an honest node may do by mistake, or because it is another version,
// weighs little.
type offence struct {
	says   string
	weight float64
}

func offenceOf(err error) offence {
	switch {
	case errors.Is(err, event.ErrSignature):
		return offence{"sends changes that their author has not signed", 25}
	case errors.Is(err, event.ErrPath):
		return offence{"sends changes of paths that no folder may have", 25}
	case errors.Is(err, swarm.ErrWrongBytes):
		return offence{"sends bytes that are not what was asked for", 50}
	case errors.Is(err, errHoarder):
		return offence{"announces far more files than it gives, or than fit here", 0}
	case errors.Is(err, errPest):
		return offence{"opens streams without pause though it is a stranger", scoreMost}
	case errors.Is(err, errDeaf):
		return offence{"contradicts itself in its own log", 50}
	case errors.Is(err, errBurden):
		return offence{"makes changes that cost far more than they say", 0}
	case errors.Is(err, pubsub.ErrFlood):
		return offence{"says and asks more than any node has to", 2}
	case errors.Is(err, pubsub.ErrProtocol):
		return offence{"breaks the protocol", 5}
	}
	return offence{"sends what no node makes", 10}
}

// errPest is held against a stranger who goes on though it is refused.
var errPest = errors.New("streams of a stranger without pause")

// conduct remembers how peers behave. Whoever offends too much is shut out for
// a while: its links are closed and none is opened or let in. What others bring
// of it is still judged by itself, so nobody loses anything by it.
type conduct struct {
	shun  func(peer.ID) // closes all links to it; must not block
	conns buckets       // by address

	mu sync.Mutex
	by map[peer.ID]*dossier
}

// dossier is what is held against one peer.
type dossier struct {
	score float64
	last  time.Time
	shut  time.Time // until
	times int
	told  map[string]time.Time
}

func newConduct(shun func(peer.ID)) *conduct {
	return &conduct{shun: shun, by: map[peer.ID]*dossier{}}
}

// sentence is what follows from an offence.
type sentence struct {
	says string // to be told to people; "": nothing new
	shut time.Duration
}

// blame counts an offence of p.
func (c *conduct) blame(p peer.ID, err error) sentence {
	o := offenceOf(err)
	v := c.count(p, o, time.Now())
	if v.shut > 0 {
		c.shun(p)
	}
	return v
}

func (c *conduct) count(p peer.ID, o offence, now time.Time) (v sentence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.recordLocked(p, now)
	if r == nil {
		return v
	}
	r.score = r.score*decay(now.Sub(r.last)) + o.weight
	r.last = now
	if r.score >= scoreMost && now.After(r.shut) {
		v.shut = min(shutFirst<<min(r.times, 10), shutMost)
		r.shut, r.score = now.Add(v.shut), 0
		r.times++
	}
	grave := o.weight == 0 || o.weight >= gravePoint || v.shut > 0 || r.score >= gravePoint
	if at, ok := r.told[o.says]; grave && (!ok && len(r.told) < tellMost || ok && now.Sub(at) > tellAgain || v.shut > 0) {
		r.told[o.says], v.says = now, o.says
	}
	return v
}

// decay is what is left of a score after a while: half a minute later three
// quarters, about; a minute later half.
func decay(d time.Duration) float64 {
	left := 1.0
	for ; d >= scoreHalf && left > 0.001; d -= scoreHalf {
		left /= 2
	}
	return left * (1 - min(max(d.Seconds(), 0)/scoreHalf.Seconds(), 1)/2)
}

// recordLocked finds the dossier of p, forgetting old ones; nil when too many
// peers are remembered.
func (c *conduct) recordLocked(p peer.ID, now time.Time) *dossier {
	r := c.by[p]
	if r != nil && now.Sub(r.last) > goodAgain {
		r = nil
	}
	if r != nil {
		return r
	}
	if len(c.by) >= peersMost {
		for q, old := range c.by {
			if now.Sub(old.last) > scoreHalf && now.After(old.shut) {
				delete(c.by, q)
			}
		}
		if len(c.by) >= peersMost {
			return nil
		}
	}
	r = &dossier{last: now, told: map[string]time.Time{}}
	c.by[p] = r
	return r
}

// shutOut tells whether p is shut out now.
func (c *conduct) shutOut(p peer.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.by[p]
	return r != nil && time.Now().Before(r.shut)
}

// The conduct is the host's connection gater.

// InterceptPeerDial refuses to dial who is shut out.
func (c *conduct) InterceptPeerDial(p peer.ID) bool { return !c.shutOut(p) }

// InterceptAddrDial lets all pass: the peer has been looked at.
func (c *conduct) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept refuses an address that connects too often: who it is is not
// known yet, and finding out costs more than anything that a stranger can ask.
func (c *conduct) InterceptAccept(a network.ConnMultiaddrs) bool {
	name := netOf(a.RemoteMultiaddr())
	return name == "" || c.conns.allow(name, addressConns, addressConnsAtOnce)
}

// InterceptSecured ends connections of who is shut out as soon as it is known
// who it is.
func (c *conduct) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !c.shutOut(p)
}

// InterceptUpgraded lets all pass.
func (c *conduct) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// blame holds an offence against a member of a pool, and tells people.
func (n *Node) blame(id event.PoolID, p peer.ID, err error) {
	r := n.find(id)
	if r == nil || p == n.self {
		return
	}
	v := n.conduct.blame(p, err)
	n.log.Debug("offence", "peer", p, "err", err, "shut", v.shut)
	if v.says == "" {
		return
	}
	r.emit("member.misbehaves", "", p, v.says+": "+err.Error())
	text := r.nameOf(p) + " " + v.says
	if v.shut > 0 {
		text += "; it is shut out for a while"
	}
	r.notice("misbehaves", text)
}

// swarmConfig says how content is fetched and served.
func (n *Node) swarmConfig() swarm.Config {
	return swarm.Config{Log: n.log, In: n.down, Out: n.up, Blame: func(id swarm.Pool, p peer.ID, err error) { n.blame(event.PoolID(id), p, err) }}
}

// muted tells whether an author has announced so much more than it gives that
// nothing new is taken from it now.
func (n *Node) muted(id event.PoolID, author peer.ID) bool {
	r := n.find(id)
	return r != nil && r.putsOff(author)
}

// shun closes all links to p, without waiting for it.
func (n *Node) shun(p peer.ID) {
	n.shunned.Go(func() { _ = n.host.Network().ClosePeer(p) }) // it is to be gone, and is
}

// outPest shuts out a stranger who opens streams without pause. The host calls
// it, and may do so before the node has taken the host over.
func (n *Node) outPest(p peer.ID) {
	if !n.hosted.Load() {
		return
	}
	if v := n.conduct.blame(p, errPest); v.shut == 0 {
		n.shun(p) // still shut out, or nobody more can be remembered
	}
	n.log.Debug("a stranger is shut out", "peer", p)
}

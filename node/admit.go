package node

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/node/internal/pb"
	"github.com/bwaklog/meerkat/store"
)

//go:generate protoc --go_out=internal/pb --go_opt=paths=source_relative -I internal/pb admit.proto

// protocolJoin is the stream on which a node asks to be let in.
const protocolJoin protocol.ID = "/meerkat/join/1"

const (
	admitWait    = 15 * time.Second // for a whole exchange
	maxAsk       = 64 << 10
	maxGuests    = 128 // in one ask
	maxAnswer    = 1 << 20
	answerBatch  = 256 << 10
	maxRoster    = 16 << 20 // bytes of records that a joiner takes
	askStreams   = 16       // served at once
	asksASecond  = 20
	peerAsks     = 2 // a second, of one node
	peerBurst    = 10
	knownAskers  = 1024
	forgetAskers = time.Minute
)

// AdmissionConfig says for whom an Admission speaks. All but Log, Changed and
// Asked are required.
type AdmissionConfig struct {
	Host  host.Host
	Key   crypto.PrivKey
	Clock *event.Clock
	Facts *store.DB // keeps who was approved, and who waits for that
	// Pools are the pools of this node that have a roster.
	Pools   func() []*store.Pool
	Log     *slog.Logger
	Changed func(event.PoolID) // a record was added to this pool's roster; must not block long
	// Merging reports whether this node is about to merge that pool into another one.
	Merging func(event.PoolID) bool
	Asked   func() // the list of requests changed; must not block
}

func (c AdmissionConfig) withDefaults() AdmissionConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Changed == nil {
		c.Changed = func(event.PoolID) {}
	}
	if c.Merging == nil {
		c.Merging = func(event.PoolID) bool { return false }
	}
	if c.Asked == nil {
		c.Asked = func() {}
	}
	return c
}

// Admission lets nodes into pools: by ticket at once, without one after a
// person has approved. Strangers learn nothing from it of which pools there are.
type Admission struct {
	conf  AdmissionConfig
	self  peer.ID
	desk  desk
	slots chan struct{}
	all   *rate.Limiter

	mu      sync.Mutex // guards what follows
	askers  map[peer.ID]*asker
	streams map[network.Stream]bool
	closed  bool
	wg      sync.WaitGroup

	honour sync.Mutex // one admission at a time, so that no ticket is used twice here
}

type asker struct {
	limit *rate.Limiter
	last  time.Time
}

// NewAdmission makes an Admission that answers nobody until Run.
func NewAdmission(c AdmissionConfig) *Admission {
	a := &Admission{
		conf: c.withDefaults(), self: c.Host.ID(), slots: make(chan struct{}, askStreams),
		all: rate.NewLimiter(asksASecond, 2*asksASecond), desk: newDesk(),
		askers: map[peer.ID]*asker{}, streams: map[network.Stream]bool{},
	}
	a.loadDesk(time.Now())
	return a
}

// Run answers those who ask until ctx ends; then it drops what is under way
// and returns when no goroutine of it is left.
func (a *Admission) Run(ctx context.Context) error {
	a.conf.Host.SetStreamHandler(protocolJoin, a.serve)
	<-ctx.Done()
	a.conf.Host.RemoveStreamHandler(protocolJoin)
	a.mu.Lock()
	a.closed = true
	for s := range a.streams {
		_ = s.Reset() // the other side asks again
	}
	a.mu.Unlock()
	a.wg.Wait()
	return nil
}

// enter takes a stream in, unless the Admission has ended or is busy.
func (a *Admission) enter(s network.Stream) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	select {
	case a.slots <- struct{}{}:
	default:
		return false
	}
	a.wg.Add(1)
	a.streams[s] = true
	return true
}

func (a *Admission) leave(s network.Stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.streams, s)
	<-a.slots
	a.wg.Done()
}

func (a *Admission) serve(s network.Stream) {
	if !a.enter(s) {
		_ = s.Reset() // busy or gone: the other side asks again
		return
	}
	defer a.leave(s)
	if err := a.exchange(s); err != nil {
		a.conf.Log.Debug("join request", "peer", s.Conn().RemotePeer(), "err", err)
		_ = s.Reset() // told above
		return
	}
	_ = s.Close() // the answer is out, or the other side asks again
}

func (a *Admission) exchange(s network.Stream) error {
	if err := s.SetDeadline(time.Now().Add(admitWait)); err != nil {
		return err
	}
	b, err := frame.Read(bufio.NewReader(s), maxAsk, nil)
	if err != nil {
		return err
	}
	var ask pb.Ask
	if err := proto.Unmarshal(b, &ask); err != nil {
		return err
	}
	return sendAnswer(s, a.answer(s.Conn(), &ask))
}

// allow limits how often everybody together, and each node, may ask.
func (a *Admission) allow(p peer.ID, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.askers[p]
	if k == nil {
		a.forget(now)
		if len(a.askers) >= knownAskers {
			return false
		}
		k = &asker{limit: rate.NewLimiter(peerAsks, peerBurst)}
		a.askers[p] = k
	}
	k.last = now
	return k.limit.AllowN(now, 1) && a.all.AllowN(now, 1)
}

// forget drops askers of the past when there are many. mu is held.
func (a *Admission) forget(now time.Time) {
	if len(a.askers) < knownAskers {
		return
	}
	for p, k := range a.askers {
		if now.Sub(k.last) > forgetAskers {
			delete(a.askers, p)
		}
	}
}

var refusals = map[string]string{
	"ticket_expired": "the ticket has expired",
	"ticket_used":    "the ticket has been used",
	"ticket_damaged": "the ticket is damaged",
	"ticket_revoked": "the ticket has been revoked",
	"ticket_foreign": "the ticket is not one of that pool",
	"unknown_pool":   "the other side knows no pool that this would open",
	"bad_name":       "the pool cannot take this node's name",
	"not_admin":      "the other side may not let anybody in",
	"denied":         "the other side said no",
	"removed":        "this node was removed from the pool",
	"busy":           "the other side is busy",
	"merged":         "that pool was merged into another one",
	"failed":         "the other side could not do it",
}

// sendAnswer writes m, its records in parts of bounded size.
func sendAnswer(s network.Stream, m *pb.Answer) error {
	recs := m.Records
	for {
		part := &pb.Answer{Verdict: m.Verdict, Code: m.Code, Nonce: m.Nonce}
		for size := 0; len(recs) > 0 && size < answerBatch; recs = recs[1:] {
			part.Records = append(part.Records, recs[0])
			size += len(recs[0])
		}
		part.More = len(recs) > 0
		b, err := proto.Marshal(part)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		if err := frame.Write(s, b); err != nil || !part.More {
			return err
		}
	}
}

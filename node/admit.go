package node

import (
	"bufio"
	"context"
	"errors"
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
	"github.com/bwaklog/meerkat/pool"
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

// Answer is what a node said to an Ask. Exactly one of the three is set, but
// that with Refused "removed" come the records of the removal.
// Refused is final: asking again, there or elsewhere, does not help, except
// that another member may know a pool that this one calls unknown_pool.
type Answer struct {
	Records []pool.Record
	Pending bool
	Refused *Error

	nonce []byte // Pending: the other's, for the words
}

// Ask asks p to let this node in, by ticket text or, where that is "", by a
// person's approval. name is what this node calls itself. Trouble that may pass
// (nobody answers, p is busy, p may not admit) is an error. The records of an
// answer are verified one by one; what they add up to is for the caller.
func (a *Admission) Ask(ctx context.Context, p peer.ID, ticket, name string) (Answer, error) {
	if ticket == "" {
		return a.AskByHand(ctx, p, name, &Greeting{})
	}
	tk, err := pool.ParseTicket(ticket)
	if err != nil {
		return Answer{}, poolTrouble(err)
	}
	return a.ask(ctx, p, &pb.Ask{Name: name, Claim: tk.Claim(a.self).Encode()})
}

// AskByHand asks p to have a person let this node in. g is kept from one call
// to the next; when one returns with a pending answer, g.Words are those that
// the person sees.
func (a *Admission) AskByHand(ctx context.Context, p peer.ID, name string, g *Greeting) (Answer, error) {
	for turn := 0; ; turn++ {
		commit, nonce := g.offer(a.self)
		answer, err := a.ask(ctx, p, &pb.Ask{Name: name, Commit: commit, Nonce: nonce})
		if err != nil || !answer.Pending || !g.hear(a.self, p, answer.nonce) || turn == 2 {
			return answer, err
		}
	}
}

// AskForAll asks p to let in this node and all members of old, which is to be
// merged, by one ticket. The answer is that of Ask: all are in, or it says why
// not; those of an earlier call stay in.
func (a *Admission) AskForAll(ctx context.Context, p peer.ID, tk pool.Ticket, old *pool.Roster) (Answer, error) {
	var guests []*pb.Guest
	me := ""
	for _, m := range old.Members() {
		if m.ID == a.self {
			me = m.Name
			continue
		}
		guests = append(guests, &pb.Guest{Claim: tk.Claim(m.ID).Encode(), Name: m.Name, Role: uint32(m.Role)})
	}
	id := old.ID()
	for {
		part := guests[:min(len(guests), maxGuests)]
		guests = guests[len(part):]
		ask := &pb.Ask{Claim: tk.Claim(a.self).Encode(), Name: me, Guests: part, Merging: id[:]}
		answer, err := a.ask(ctx, p, ask)
		if err != nil || answer.Refused != nil || len(guests) == 0 {
			return answer, err
		}
	}
}

// AskAgain asks a member for the roster of a pool that this node belongs to
// and has lost the state of.
func (a *Admission) AskAgain(ctx context.Context, p peer.ID, id event.PoolID) (Answer, error) {
	return a.ask(ctx, p, &pb.Ask{Pool: id[:]})
}

func (a *Admission) ask(ctx context.Context, p peer.ID, ask *pb.Ask) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, admitWait)
	defer cancel()
	s, err := a.conf.Host.NewStream(network.WithAllowLimitedConn(ctx, "join"), p, protocolJoin)
	if err != nil {
		return Answer{}, trouble("unreachable", firstLine(err), "cannot ask %s", p)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() }) // unblocks what follows
	defer stop()
	out, err := askOn(s, ask)
	if err != nil {
		_ = s.Reset() // err says why
		return Answer{}, err
	}
	_ = s.Close() // all has been said
	return out, nil
}

func askOn(s network.Stream, ask *pb.Ask) (Answer, error) {
	b, err := proto.Marshal(ask)
	if err != nil {
		return Answer{}, fmt.Errorf("encode the request: %w", err)
	}
	if err := errors.Join(frame.Write(s, b), s.CloseWrite()); err != nil {
		return Answer{}, fmt.Errorf("ask to join: %w", err)
	}
	return readAnswer(bufio.NewReader(s))
}

// readAnswer takes in a whole answer, within limits.
func readAnswer(r *bufio.Reader) (Answer, error) {
	var out Answer
	var buf []byte
	for total := 0; ; {
		b, err := frame.Read(r, maxAnswer, buf)
		if err != nil {
			return Answer{}, fmt.Errorf("answer to a join: %w", err)
		}
		buf = b
		var m pb.Answer
		if err := proto.Unmarshal(b, &m); err != nil {
			return Answer{}, fmt.Errorf("answer to a join: %w", err)
		}
		for _, raw := range m.Records {
			rec, err := pool.OpenRecord(raw)
			if err != nil {
				return Answer{}, fmt.Errorf("answer to a join: %w", err)
			}
			out.Records = append(out.Records, rec)
			total += len(raw)
		}
		if total > maxRoster || len(out.Records) > pool.MaxRecords {
			return Answer{}, errors.New("answer to a join: the roster is too large")
		}
		if !m.More {
			return verdict(&m, out.Records)
		}
		if len(m.Records) == 0 {
			return Answer{}, errors.New("answer to a join: an empty part")
		}
	}
}

// passing are refusals that may pass, or that are of one node alone.
var passing = map[string]bool{"busy": true, "not_admin": true}

// verdict is what an answer comes to. A removed node gets the records of that.
func verdict(m *pb.Answer, recs []pool.Record) (Answer, error) {
	switch m.Verdict {
	case pb.Answer_ADMITTED:
		return Answer{Records: recs}, nil
	case pb.Answer_PENDING:
		return Answer{Pending: true, nonce: m.Nonce}, nil
	case pb.Answer_REFUSED:
		e := refusal(m.Code)
		if passing[e.Code] {
			return Answer{}, e
		}
		return Answer{Refused: e, Records: recs}, nil
	}
	return Answer{}, errors.New("answer to a join: of an unknown kind")
}

// refusal tells a code that came from another node; one that is not known is
// shown as no more than that, since it is that node's text.
func refusal(code string) *Error {
	text, ok := refusals[code]
	if !ok {
		return trouble("denied", nil, "the other side refused, for a reason unknown here")
	}
	return trouble(code, nil, "%s", text)
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

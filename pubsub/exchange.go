package pubsub

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/internal/frame"
)

const (
	openPatience = 10 * time.Second
	maxHello     = 512
	maxProof     = 4 << 20 // records that a stranger may show
	maxProofRecs = 20_000
)

// exchange is one conversation of /meerkat/heads/1. Sending and receiving may go on at the same time, each in one goroutine.
type exchange struct {
	f        *Feed
	r        *room // nil until the pool is known
	peer     peer.ID
	s        network.Stream
	br       *bufio.Reader
	buf      []byte
	admitted atomic.Bool // the peer was a member, and is out when it is none any more
	in, out  atomic.Int64
	state    bool  // both had the same state of all paths
	moved    bool  // segments went over that may have been news
	rejected error // the first that the log said to what came: no breach of the protocol, and the rest goes on
	began    time.Time
	hushed   map[event.Writer]bool // logs of the peer's own that it was told not to send
}

func newExchange(f *Feed, s network.Stream) *exchange {
	return &exchange{f: f, peer: s.Conn().RemotePeer(), s: s, br: bufio.NewReaderSize(s, 4<<10), began: time.Now()}
}

// call begins an exchange with p and sees it through; whole: to its end, though the log may have refused something.
func (r *room) call(ctx context.Context, p peer.ID) (whole bool, err error) {
	if !r.log.Member(p) {
		return false, fmt.Errorf("repair with %s: %w", p, r.why(p))
	}
	octx, cancel := context.WithTimeout(network.WithNoDial(ctx, "repair"), openPatience)
	defer cancel()
	s, err := r.f.host.NewStream(network.WithAllowLimitedConn(octx, "repair"), p, HeadsProtocol)
	if err != nil {
		return false, fmt.Errorf("repair with %s: %w", p, err)
	}
	x := newExchange(r.f, s)
	stop := context.AfterFunc(ctx, x.cut)
	defer stop()
	err = x.begin(ctx, r)
	if whole, err = err == nil, x.close(err); err != nil {
		err = fmt.Errorf("repair with %s: %w", p, err)
	}
	return whole, err
}

// why gives the reason for which p is not spoken to.
func (r *room) why(p peer.ID) error {
	if r.log.Removed(p) {
		return ErrRemoved
	}
	return ErrNotMember
}

// cut ends the exchange at once, from any goroutine.
func (x *exchange) cut() { _ = x.s.Reset() } // it is to be gone, and is

// close ends the stream in the way that fits its fate, and notes it. What comes back says whether both sides are equal now.
func (x *exchange) close(err error) error {
	if err != nil && !refusal(err) {
		x.cut()
	} else {
		_ = x.s.Close() // all that counts was acknowledged
	}
	if err == nil && x.rejected != nil {
		err = fmt.Errorf("%w: %w", ErrRejected, x.rejected)
	}
	x.f.exchanges.Add(1)
	if x.r != nil && x.admitted.Load() && breaks(err) {
		x.f.blame(x.r.id, x.peer, err)
	}
	if x.r != nil {
		x.r.note(x, err)
		x.r.exit(x)
	}
	return err
}

func refusal(err error) bool {
	return errors.Is(err, ErrNotMember) || errors.Is(err, ErrRemoved) || errors.Is(err, errBusy)
}

// attach makes the exchange one of r's.
func (x *exchange) attach(r *room) error {
	if !r.enter(x) {
		return ErrStopped
	}
	x.r = r
	return nil
}

func (x *exchange) send(m any) error {
	b, err := encode(m)
	if err != nil {
		return err
	}
	if len(b) > MaxFrame {
		return fmt.Errorf("send %T: %w", m, frame.ErrTooLarge)
	}
	_ = x.s.SetWriteDeadline(time.Now().Add(x.f.conf.Frame)) // a stream that knows no deadline ends with its connection
	x.out.Add(int64(len(b)))
	x.f.out.Add(int64(len(b)))
	return frame.Write(x.s, b)
}

func (x *exchange) recv(max int) (any, error) {
	_ = x.s.SetReadDeadline(time.Now().Add(x.f.conf.Frame)) // as in send
	b, err := frame.Read(x.br, max, x.buf)
	if err != nil {
		return nil, err
	}
	x.in.Add(int64(len(b)))
	x.f.in.Add(int64(len(b)))
	x.buf = b
	m, err := decode(b)
	if no, ok := m.(refuse); ok {
		return nil, no.why
	}
	return m, err
}

// expect receives a message of type T.
func expect[T any](x *exchange, max int) (T, error) {
	m, err := x.recv(max)
	t, ok := m.(T)
	if err == nil && !ok {
		err = bad("%T instead of %T", m, t)
	}
	return t, err
}

// begin is the side that opened the stream.
func (x *exchange) begin(ctx context.Context, r *room) error {
	if err := x.attach(r); err != nil {
		return err
	}
	x.admitted.Store(true)
	mine := x.hello()
	if err := x.send(mine); err != nil {
		return err
	}
	m, err := x.recv(maxHello)
	if _, ok := m.(prove); ok && err == nil {
		if err = x.sendRecords(r.log.RosterHashes()); err == nil {
			m, err = x.recv(maxHello)
		}
	}
	if err != nil {
		return err
	}
	theirs, ok := m.(hello)
	if !ok || theirs.pool != r.id {
		return bad("%T of another pool or kind instead of hello", m)
	}
	return x.reconcile(ctx, mine, theirs)
}

// answerHeads sees an exchange through that the other side began.
func (x *exchange) answerHeads(ctx context.Context) error { return x.close(x.answer(ctx)) }

// answer is the other side. Who is no member here gets the same answers whether the pool is joined here or not.
func (x *exchange) answer(ctx context.Context) error {
	theirs, err := expect[hello](x, maxHello)
	if err != nil {
		return err
	}
	r := x.f.room(theirs.pool)
	if r != nil {
		if err := x.attach(r); err != nil {
			return err
		}
	}
	if r == nil || !r.log.Member(x.peer) {
		if err := x.judge(ctx); err != nil {
			return x.refuse(err)
		}
	}
	x.admitted.Store(true)
	mine := x.hello()
	if r.busy() && mine.heads != theirs.heads {
		return x.refuse(errBusy)
	}
	if err := x.send(mine); err != nil {
		return err
	}
	return x.reconcile(ctx, mine, theirs)
}

func (x *exchange) refuse(why error) error {
	if refusal(why) {
		if err := x.send(refuse{why}); err != nil {
			return err
		}
	}
	return why
}

// judge lets a peer show the records that make it a member.
func (x *exchange) judge(ctx context.Context) error {
	if !x.f.door.prove(x.peer, time.Now()) {
		return x.outside()
	}
	err := x.proof(ctx)
	x.f.door.proved(x.peer, err == nil, time.Now())
	return err
}

func (x *exchange) proof(ctx context.Context) error {
	if err := x.send(prove{}); err != nil {
		return err
	}
	recs, err := x.recvRecords(maxProof, maxProofRecs)
	if err != nil {
		return err
	}
	if x.r == nil {
		return x.outside()
	}
	if err := x.r.log.AddRosterRecords(ctx, x.peer, recs); err != nil {
		return fmt.Errorf("add roster records: %w", err)
	}
	x.r.refresh.poke()
	return x.member()
}

func (x *exchange) member() error {
	if x.r.log.Member(x.peer) {
		return nil
	}
	return x.outside()
}

// outside is what a peer hears that is no member.
func (x *exchange) outside() error {
	if x.r == nil {
		return ErrNotMember
	}
	return x.r.why(x.peer)
}

func (x *exchange) hello() hello {
	l := x.r.log
	h := hello{pool: x.r.id, roster: l.RosterDigest(), heads: digestHeads(l.Heads()), reports: digestReports(l.Reports())}
	_, _ = rand.Read(h.nonce[:]) // never fails
	sum := l.Summary()
	h.count = sum.Count()
	h.print = printOf(sum, h.nonce)
	return h
}

func printOf(s event.Sum, nonce [nonceSize]byte) [printSize]byte {
	f := s.Fingerprint(nonce[:])
	return [printSize]byte(f[:])
}

// digestHeads names a set of heads.
func digestHeads(hs []event.Head) event.Hash {
	hs = slices.Clone(hs)
	slices.SortFunc(hs, func(a, b event.Head) int { return a.Writer.Compare(b.Writer) })
	d := blake3.New()
	for _, h := range hs {
		b := binary.BigEndian.AppendUint16(nil, uint16(len(h.Writer.Node)))
		b = append(b, h.Writer.Node...)
		b = binary.BigEndian.AppendUint64(b, h.Writer.Epoch)
		b = binary.BigEndian.AppendUint64(b, h.Seq)
		_, _ = d.Write(append(b, h.Hash[:]...)) // a hash takes all
	}
	return event.Hash(d.Sum(nil))
}

// digestReports names a set of reports.
func digestReports(raws [][]byte) [printSize]byte {
	ss := make([][shortSize]byte, len(raws))
	for i, raw := range raws {
		ss[i] = short(raw)
	}
	slices.SortFunc(ss, func(a, b [shortSize]byte) int { return slices.Compare(a[:], b[:]) })
	h := blake3.Sum256(joinShort(ss))
	return [printSize]byte(h[:])
}

func short(raw []byte) [shortSize]byte {
	h := blake3.Sum256(raw)
	return [shortSize]byte(h[:])
}

// both sends and receives at once, so that neither side waits for the other to read. Whichever fails ends the stream, and so the other.
func (x *exchange) both(send, recv func() error) error {
	sent := make(chan error, 1)
	go func() {
		err := send()
		if err != nil {
			x.cut()
		}
		sent <- err
	}()
	err := recv()
	if err != nil {
		x.cut()
	}
	if out := <-sent; err == nil {
		err = out
	}
	return err
}

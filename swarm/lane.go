package swarm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	openStream = 5 * time.Second // to open a stream on a connection that is there
	readSize   = 64 << 10
)

var (
	errNotConnected = errors.New("not connected")
	errLimited      = errors.New("reachable over a limited relay only")
	errClosed       = errors.New("closed the stream")
)

// open opens a stream on the best connection there is: not limited before limited, direct before relayed. It never dials.
func (f *fetch) open(ctx context.Context, p peer.ID) (network.Stream, error) {
	switch c := f.s.host.Network().Connectedness(p); {
	case c == network.Limited && !f.s.c.AllowLimited:
		return nil, errLimited
	case c != network.Connected && c != network.Limited:
		return nil, errNotConnected
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "chunks"), openStream)
	defer cancel()
	if f.s.c.AllowLimited {
		ctx = network.WithAllowLimitedConn(ctx, "chunks")
	}
	st, err := f.s.host.NewStream(ctx, p, Protocol)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	return st, nil
}

// once is the life of one stream of the lane. It ends with ctx, with an error, or with nil when the lane should start
// over on a better connection or after having been idle for long.
func (a *lane) once(ctx context.Context) error {
	f := a.link.f
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f.plan.join(a, cancel)
	defer f.lose(a)
	asks := a.next(ctx)
	if asks == nil {
		return context.Cause(ctx)
	}
	st, err := f.open(ctx, a.link.peer)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })() // whatever it waits for ends
	f.plan.on(a, func() bool { return f.better(st) })
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		cancel(a.receive(ctx, st))
	}()
	cancel(a.send(ctx, st, asks))
	_ = st.Reset() // no reply that may still come is wanted, and the reader ends
	<-finished
	if err := context.Cause(ctx); err != errClosed {
		return err
	}
	return nil
}

// on makes it known which connection the lane uses.
func (p *plan) on(a *lane, worse func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.worse = worse
}

// better says whether st runs over a relay while there is a direct connection to its peer by now.
func (f *fetch) better(st network.Stream) bool {
	if direct(st.Conn()) {
		return false
	}
	for _, c := range f.s.host.Network().ConnsToPeer(st.Conn().RemotePeer()) {
		if direct(c) {
			return true
		}
	}
	return false
}

func direct(c network.Conn) bool {
	return !c.Stat().Limited && !strings.Contains(c.RemoteMultiaddr().String(), "/p2p-circuit")
}

// next waits until there is something to ask for. nil: the lane is over.
func (a *lane) next(ctx context.Context) []ask {
	for {
		if ctx.Err() != nil || a.link.f.plan.spent(a) {
			return nil
		}
		if asks := a.link.f.plan.pick(a, time.Now()); len(asks) > 0 {
			a.hear() // the peer's time to answer begins
			return asks
		}
		select {
		case <-a.kick:
		case <-ctx.Done():
			return nil
		}
	}
}

// send asks, as long as there is something to ask for.
func (a *lane) send(ctx context.Context, st network.Stream, asks []ask) error {
	var out bytes.Buffer
	msg := appendOpen(nil, a.link.f.req.Pool)
	_ = frame.Write(&out, msg) // memory takes everything
	for asks != nil {
		for _, kind := range []byte{kindChunks, kindBlocks, kindPlain} {
			if msg = appendAsks(msg[:0], kind, asks); len(msg) > 1 {
				_ = frame.Write(&out, msg)
			}
		}
		if err := st.SetWriteDeadline(time.Now().Add(a.link.f.s.c.Stall)); err != nil {
			return err
		}
		if _, err := st.Write(out.Bytes()); err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		out.Reset()
		asks = a.next(ctx)
	}
	return errClosed
}

func appendAsks(msg []byte, kind byte, asks []ask) []byte {
	msg = append(msg, kind)
	for _, q := range asks {
		if q.kind == kind {
			msg = append(msg, q.id[:]...)
		}
	}
	return msg
}

// receive takes the replies, verifies what they bring and puts it. Meanwhile the stream's own window fills, and the other
// lanes go on.
func (a *lane) receive(ctx context.Context, st network.Stream) error {
	src := &source{ctx: ctx, a: a, st: st}
	r := bufio.NewReaderSize(src, readSize)
	var buf []byte
	defer func() { putBuffer(buf) }()
	for {
		src.payload = false
		status, n, err := readHead(r)
		q, w, ok := a.link.f.plan.head(a)
		if err == io.EOF && !ok {
			return errClosed // idle for long
		}
		if err != nil {
			return err
		}
		if status == statusRefused {
			return errRefused
		}
		if !ok {
			return fmt.Errorf("%w: a reply to nothing", errWire)
		}
		if status != statusOK {
			a.link.f.plan.take(a, false, time.Now())
			a.link.f.blame(a.link.peer, denial(status))
			a.link.f.plan.poke()
			continue
		}
		if n == 0 || w.Size != 0 && n != int(w.Size) {
			return fmt.Errorf("%w: %d for chunk %v of %d", ErrWrongBytes, n, w.ID, w.Size)
		}
		if cap(buf) < n {
			putBuffer(buf)
			buf = getBuffer(n)
		}
		src.payload = true
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		if err := a.accept(q, w, buf[:n]); err != nil {
			return err
		}
	}
}

func denial(status byte) error {
	switch status {
	case statusMissing:
		return ErrMissing
	case statusChanged:
		return ErrChanged
	}
	return ErrUnreadable
}

// accept verifies and puts what came for q.
func (a *lane) accept(q request, w Want, b []byte) error {
	f := a.link.f
	if chunker.Sum(b) != w.ID {
		if q.kind != kindPlain {
			return fmt.Errorf("%w for %v", ErrWrongBytes, w.ID)
		}
		f.doubt(a, w)
		return nil
	}
	wants, mine := f.plan.take(a, true, time.Now())
	a.poke() // there is room in the window
	if mine {
		f.plan.settle(q.piece, f.put(wants, b))
	}
	return nil
}

// source reads a stream, and notes when and how much.
type source struct {
	ctx     context.Context // of the one call that reads it
	a       *lane
	st      network.Stream
	payload bool // what comes now is bytes of a chunk
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.st.Read(p)
	f := s.a.link.f
	if werr := wait(s.ctx, f.s.c.In, n); werr != nil {
		return 0, werr
	}
	f.s.in.add(n, time.Now())
	s.a.hear()
	if s.payload {
		f.progress.Store(time.Now().UnixNano())
	}
	return n, err
}

package swarm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	openTime  = 10 * time.Second      // for the first frame
	writeTime = 60 * time.Second      // for each 256 KiB to leave
	flushAt   = 256 << 10             // replies are gathered up to this
	flushTime = 50 * time.Millisecond // or this long
)

// outgoing buffers have room for a chunk behind what is gathered. Most of one is never touched while chunks are small.
var outgoing = sync.Pool{New: func() any {
	b := make([]byte, 0, flushAt+headBytes+chunker.MaxChunk)
	return &b
}}

// accept serves one inbound stream until it ends. It runs on the goroutine that libp2p made for the stream.
func (s *Swarm) accept(ctx context.Context, st network.Stream) {
	p := st.Conn().RemotePeer()
	if !s.enter(p, st) {
		_ = st.Reset() // too many streams, or we are leaving: the peer sees an end
		return
	}
	defer s.leave(p, st)
	v := server{s: s, st: st, peer: p, r: bufio.NewReaderSize(st, 4<<10)}
	err := v.serve(ctx)
	if err == nil || errors.Is(err, errRefused) {
		err = errors.Join(err, st.Close()) // not reset: the refusal has to arrive
	} else {
		_ = st.Reset() // nothing on it can be trusted
	}
	if err != nil {
		s.c.Log.Debug("chunk stream ended", "peer", p, "err", err)
	}
}

// enter counts a stream in, unless its peer has too many or Run is over.
func (s *Swarm) enter(p peer.ID, st network.Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running || s.streams[p] >= s.c.Streams {
		return false
	}
	s.streams[p]++
	s.handlers[st] = true
	s.children.Add(1)
	return true
}

func (s *Swarm) leave(p peer.ID, st network.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.handlers, st)
	if s.streams[p]--; s.streams[p] == 0 {
		delete(s.streams, p)
	}
	s.children.Done()
}

// server is one inbound stream. Frames are served one after the other, and the next is not read before: what a peer
// asks beyond that waits in its own flow control, not in our memory.
type server struct {
	s    *Swarm
	st   network.Stream
	peer peer.ID
	pool Pool
	r    *bufio.Reader

	out   []byte // replies not yet sent, in a buffer with room for one more chunk
	since time.Time
}

var errRefused = errors.New("refused")

func (v *server) serve(ctx context.Context) error {
	if err := v.open(); err != nil {
		return err
	}
	var msg []byte
	for {
		if err := v.st.SetReadDeadline(time.Now().Add(v.s.c.Idle)); err != nil {
			return err
		}
		if _, err := v.r.Peek(1); err != nil {
			return nil // the peer is done with it, or silent for long: either way this is the end
		}
		var err error
		if msg, err = frame.Read(v.r, maxFrame, msg); err != nil {
			return err
		}
		if err := v.request(ctx, msg); err != nil {
			return err
		}
	}
}

func (v *server) open() error {
	if err := v.st.SetReadDeadline(time.Now().Add(openTime)); err != nil {
		return err
	}
	msg, err := frame.Read(v.r, maxFrame, nil)
	if err != nil {
		return err
	}
	v.pool, err = decodeOpen(msg)
	return err
}

// request serves one frame. It holds a slot and a buffer meanwhile, so that memory is bounded whoever asks.
func (v *server) request(ctx context.Context, msg []byte) error {
	kind, ids, err := decodeIDs(msg)
	if err != nil {
		return err
	}
	select {
	case v.s.serving <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-v.s.serving }()
	b := outgoing.Get().(*[]byte)
	v.out = (*b)[:0]
	defer func() { *b, v.out = v.out, nil; outgoing.Put(b) }()
	v.since = time.Now()
	for ; len(ids) > 0; ids = ids[len(chunker.ID{}):] {
		if err := v.reply(ctx, kind, chunker.ID(ids[:len(chunker.ID{})])); err != nil {
			return err
		}
	}
	return v.flush(ctx)
}

// reply puts one reply behind what is gathered, and sends that if it is enough.
func (v *server) reply(ctx context.Context, kind byte, id chunker.ID) error {
	if !v.s.src.Allowed(v.pool, v.peer) {
		v.out = appendHead(v.out, statusRefused, 0)
		if err := v.flush(ctx); err != nil {
			return err
		}
		return errRefused
	}
	if kind == kindHave {
		b := v.s.holding(v.pool, id).encode()
		v.out = append(appendHead(v.out, statusOK, len(b)), b...)
	} else {
		v.read(ctx, Query{ID: id, Block: kind == kindBlocks, Plain: kind == kindPlain})
	}
	if len(v.out) >= flushAt || time.Since(v.since) > flushTime {
		return v.flush(ctx)
	}
	return nil
}

// read lets the source fill in the chunk where it will be sent from.
func (v *server) read(ctx context.Context, q Query) {
	at := len(v.out) + headBytes
	n, err := v.s.src.Read(ctx, v.pool, q, v.out[at:at+chunker.MaxChunk:at+chunker.MaxChunk])
	if err == nil && (n <= 0 || n > chunker.MaxChunk) {
		err = fmt.Errorf("source read %d bytes", n)
	}
	if err != nil {
		v.out = appendHead(v.out, statusOf(err), 0)
		if !errors.Is(err, ErrMissing) {
			v.s.c.Log.Debug("chunk not served", "id", q.ID, "err", err)
		}
		return
	}
	v.out = v.out[:at+n]
	putHead(v.out[at-headBytes:], statusOK, n)
}

func statusOf(err error) byte {
	switch {
	case errors.Is(err, ErrMissing):
		return statusMissing
	case errors.Is(err, ErrChanged):
		return statusChanged
	}
	return statusUnreadable
}

// flush sends what is gathered.
func (v *server) flush(ctx context.Context) error {
	for b := v.out; len(b) > 0; {
		part := b[:min(len(b), flushAt, v.s.step())]
		if err := wait(ctx, v.s.c.Out, len(part)); err != nil {
			return err
		}
		if err := v.st.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return err
		}
		n, err := v.st.Write(part)
		v.s.out.add(n, time.Now())
		if err != nil {
			return err
		}
		b = b[len(part):]
	}
	v.out, v.since = v.out[:0], time.Now()
	return nil
}

// holding is what is here of a file, with what our own fetches are waiting for.
func (s *Swarm) holding(pool Pool, root chunker.ID) holding {
	n, all, bits := s.src.Bitmap(pool, root)
	h := holding{n: max(n, 0), all: all && n > 0}
	if h.n == 0 || h.all {
		return h
	}
	h.have = bits
	for _, f := range s.fetching(pool) {
		h.coming = f.plan.coming(root, h.n, h.coming)
	}
	return h
}

// fetching is what is being fetched of pool.
func (s *Swarm) fetching(pool Pool) (fs []*fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.fetches {
		if f.req.Pool == pool {
			fs = append(fs, f)
		}
	}
	return fs
}

package swarm

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/libp2p/go-libp2p/core/network"
)

// poll asks the peer again and again what it has of the files that are not yet complete, over a stream of its own, so that no answer
// waits behind chunks. A peer that has a whole file is not asked about that one again.
func (l *link) poll(ctx context.Context) error {
	st, err := l.f.open(ctx, l.peer)
	if err != nil {
		return err
	}
	defer func() { _ = st.Reset() }() // nothing on it is kept
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	var out bytes.Buffer
	_ = frame.Write(&out, appendOpen(nil, l.f.req.Pool)) // memory takes everything
	r := bufio.NewReaderSize(st, readSize)
	for {
		if roots := l.f.plan.unknown(l); len(roots) > 0 {
			if err := l.ask(st, r, &out, roots); err != nil {
				return err
			}
			l.f.plan.rank()
			l.f.plan.poke()
		}
		pause := l.f.s.c.Poll
		select {
		case <-time.After(pause - pause/8 + rand.N(pause/4+1)): // so that peers do not ask in step
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unknown are the files of which more is to learn from l.
func (p *plan) unknown(l *link) (files []int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := rand.IntN(max(1, len(p.roots))) // where there are more than fit a frame, all have their turn
	for k := range p.roots {
		f := (from + k) % len(p.roots)
		if p.roots[f].left > 0 && !l.files[f].all && len(files) < maxIDs {
			files = append(files, int32(f))
		}
	}
	return files
}

func (l *link) ask(st network.Stream, r *bufio.Reader, out *bytes.Buffer, files []int32) error {
	msg := []byte{kindHave}
	for _, f := range files {
		msg = append(msg, l.f.plan.roots[f].id[:]...)
	}
	_ = frame.Write(out, msg) // memory takes everything
	defer out.Reset()
	if err := st.SetDeadline(time.Now().Add(l.f.s.c.Stall)); err != nil {
		return err
	}
	if _, err := st.Write(out.Bytes()); err != nil {
		return fmt.Errorf("ask for bitmaps: %w", err)
	}
	for _, f := range files {
		h, err := readHolding(r)
		if err != nil {
			return fmt.Errorf("bitmap of %v: %w", l.f.plan.roots[f].id, err)
		}
		l.f.plan.learn(l, f, h)
	}
	return nil
}

func readHolding(r io.Reader) (holding, error) {
	status, n, err := readHead(r)
	if err != nil {
		return holding{}, err
	}
	if status != statusOK {
		return holding{}, errRefused
	}
	if n > chunker.MaxChunk {
		return holding{}, errWire
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return holding{}, err
	}
	return decodeHolding(b)
}

// learn notes what the peer of l has of a file. As long as every peer has all of it, the order stays.
func (p *plan) learn(l *link, f int32, h holding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.files[f] = known{true, h}
	p.stale = p.stale || !h.all && h.have != nil
}

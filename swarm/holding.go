package swarm

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Share is how much of a file somebody has, in chunks. Chunks is 0 where the file is not known there.
type Share struct{ Chunks, Have int }

// All reports whether the whole file is there.
func (s Share) All() bool { return s.Chunks > 0 && s.Have == s.Chunks }

// Holding asks p what it has of the files with these roots; the answer is in their order. It dials nobody, blocks until p
// has answered or has been silent for Config.Stall, and believes p: only a chunk that came proves anything.
func (s *Swarm) Holding(ctx context.Context, pool Pool, p peer.ID, roots []chunker.ID) ([]Share, error) {
	st, err := (&fetch{s: s}).open(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("ask what %s has: %w", p, err)
	}
	defer func() { _ = st.Reset() }() // nothing on it is kept
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	var out bytes.Buffer
	_ = frame.Write(&out, appendOpen(nil, pool)) // memory takes everything
	r := bufio.NewReaderSize(st, readSize)
	shares := make([]Share, 0, len(roots))
	for part := range slices.Chunk(roots, maxIDs) {
		msg := []byte{kindHave}
		for _, id := range part {
			msg = append(msg, id[:]...)
		}
		_ = frame.Write(&out, msg) // memory takes everything
		if err := st.SetDeadline(time.Now().Add(s.c.Stall)); err != nil {
			return nil, err
		}
		if _, err := st.Write(out.Bytes()); err != nil {
			return nil, fmt.Errorf("ask what %s has: %w", p, err)
		}
		out.Reset()
		for range part {
			h, err := readHolding(r)
			if err != nil {
				return nil, fmt.Errorf("what %s has: %w", p, err)
			}
			shares = append(shares, h.share())
		}
	}
	return shares, nil
}

func (h holding) share() Share {
	s := Share{Chunks: h.n}
	if h.all {
		s.Have = h.n
		return s
	}
	for _, b := range h.have {
		s.Have += bits.OnesCount8(b)
	}
	s.Have = min(s.Have, s.Chunks) // bits beyond the end count for nothing
	return s
}

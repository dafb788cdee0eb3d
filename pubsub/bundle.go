package pubsub

import (
	"fmt"

	"github.com/bwaklog/meerkat/event"
)

// bundle gathers segments of several writers to batches worth a frame.
type bundle struct {
	x      *exchange
	mine   have // as it was said
	theirs have
	named  map[event.Writer]branches // what the other side has of forked logs
	nonce  [nonceSize]byte           // that it names them under
	raws   [][]byte
	size   int
	sent   bool
}

// writer sends what the other side lacks of a log.
func (b *bundle) writer(mine, theirs event.Head) error {
	s, err := b.stretch(mine, theirs)
	if err != nil {
		return err
	}
	for seq := s.after; seq < min(mine.Seq, s.upto); {
		raws, err := b.x.r.log.After(mine.Writer, seq, chunkSize-b.size)
		if err != nil {
			return fmt.Errorf("read log of %s after %d: %w", mine.Writer, seq, err)
		}
		if len(raws) == 0 {
			return nil // pruned since
		}
		before, lacking := seq, raws[:0:0]
		for _, raw := range raws {
			p, err := event.PlaceOf(raw)
			if err != nil {
				return fmt.Errorf("own log of %s: %w", mine.Writer, err)
			}
			if seq = max(seq, p.Seq); p.Seq <= s.upto && !s.skip(p.Hash) {
				lacking = append(lacking, raw)
			}
		}
		if seq == before {
			return fmt.Errorf("own log of %s: nothing after %d", mine.Writer, seq)
		}
		if err := b.add(lacking); err != nil {
			return err
		}
	}
	return nil
}

func (b *bundle) add(raws [][]byte) error {
	for _, raw := range raws {
		if len(b.raws) > 0 && (b.size+len(raw) > chunkSize+event.MaxSegment || len(b.raws) >= maxHeads) {
			if err := b.flush(); err != nil {
				return err
			}
		}
		b.raws, b.size = append(b.raws, raw), b.size+len(raw)
	}
	if b.size < chunkSize {
		return nil
	}
	return b.flush()
}

// flush sends the batch, unless the peer has been removed meanwhile.
func (b *bundle) flush() error {
	if len(b.raws) == 0 {
		return nil
	}
	if err := b.x.member(); err != nil {
		return err
	}
	plain, err := pile(b.raws)
	if err != nil {
		return err
	}
	b.raws, b.size, b.sent = nil, 0, true
	packed, size := b.x.f.pack.pack(plain)
	return b.x.send(batch{packed, size})
}

// push sends what the other side lacks, and done.
func (b *bundle) push(mine have, raws [][]byte) error {
	x := b.x
	if err := x.pushReports(raws, b.theirs.reports); err != nil {
		return err
	}
	there := b.theirs.byWriter()
	for _, h := range mine.heads {
		if err := b.writer(h, there[h.Writer]); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	return x.send(done{})
}

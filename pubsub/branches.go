package pubsub

import (
	"fmt"
	"math"

	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
)

const (
	maxNamed    = 64 << 10 // segments of forked logs that a side names in one exchange
	maxBranches = 1 << 10  // logs that it names them of
)

// branches are the segments that a side has of one forked log, from where that parts up to upto: each a short hash under the nonce
// of that side's hello, so that no two can be prepared to look alike.
type branches struct {
	writer event.Writer
	named  [][shortSize]byte
	upto   uint64
}

// Of a log that is a chain its end says all. Where one forked, whose end differs from the other side's, a side names what it has,
// and gets just what it lacks.

// named are the logs of which the side that sent mine names its segments to the one that sent theirs.
func named(mine, theirs have) []event.Head {
	there := theirs.byWriter()
	var out []event.Head
	for _, h := range mine.heads {
		if _, forked := mine.parted[h.Writer]; !forked || h.Seq == math.MaxUint64 {
			continue
		}
		if o, ok := there[h.Writer]; ok && o != h && len(out) < maxBranches {
			out = append(out, h)
		}
	}
	return out
}

// since is from which seq on the side that sent mine names its segments of a forked log: where that parts on either side.
func since(w event.Writer, mine, theirs have) uint64 {
	from := mine.parted[w]
	if other, forked := theirs.parted[w]; forked {
		from = min(from, other)
	}
	return from
}

// name lists what is here of those logs.
func (x *exchange) name(hs []event.Head, mine, theirs have, nonce [nonceSize]byte) (known, error) {
	var out known
	left := maxNamed
	for _, h := range hs {
		b := branches{writer: h.Writer, upto: math.MaxUint64}
		ends, err := x.r.log.Ends(h.Writer, since(h.Writer, mine, theirs)-1, left+1)
		if err != nil {
			return nil, fmt.Errorf("list log of %s: %w", h.Writer, err)
		}
		if len(ends) > left {
			b.upto = ends[left].Seq - 1
		}
		for _, e := range ends {
			if e.Seq <= b.upto {
				b.named = append(b.named, shortEnd(nonce, e.Hash))
			}
		}
		left -= len(b.named)
		out = append(out, b)
	}
	return out, nil
}

func shortEnd(nonce [nonceSize]byte, h event.Hash) [shortSize]byte {
	s := blake3.Sum256(append(nonce[:], h[:]...))
	return [shortSize]byte(s[:])
}

// swapKnown names to each other what both have of forked logs, and gives what the other side has.
func (x *exchange) swapKnown(mine, theirs have, nonces [2][nonceSize]byte) (map[event.Writer]branches, error) {
	say, hear := named(mine, theirs), named(theirs, mine)
	out := map[event.Writer]branches{}
	err := x.both(func() error {
		if len(say) == 0 {
			return nil
		}
		k, err := x.name(say, mine, theirs, nonces[0])
		if err != nil {
			return err
		}
		return x.send(k)
	}, func() error {
		if len(hear) == 0 {
			return nil
		}
		k, err := expect[known](x, MaxFrame)
		for _, b := range k {
			out[b.writer] = b
		}
		if err == nil && len(out) != len(hear) {
			err = bad("segments of %d forked logs, want %d", len(out), len(hear))
		}
		return err
	})
	return out, err
}

// stretch is what one side sends of a log: the segments behind after, up to upto, but those that skip picks.
type stretch struct {
	after, upto uint64
	skip        func(event.Hash) bool
}

func all(after uint64) stretch {
	return stretch{after: after, upto: math.MaxUint64, skip: func(event.Hash) bool { return false }}
}

var nothing = all(math.MaxUint64)

// stretch is what the other side lacks of the log that ends here with mine, so far as its own end says, and what it names.
func (b *bundle) stretch(mine, theirs event.Head) (stretch, error) {
	if mine == theirs {
		return nothing, nil
	}
	if _, forked := b.theirs.parted[mine.Writer]; forked {
		n, ok := b.named[mine.Writer]
		if !ok {
			return nothing, nil // there is no end of forked logs; another time
		}
		has := make(map[[shortSize]byte]bool, len(n.named))
		for _, s := range n.named {
			has[s] = true
		}
		return stretch{since(mine.Writer, b.theirs, b.mine) - 1, n.upto, func(h event.Hash) bool { return has[shortEnd(b.nonce, h)] }}, nil
	}
	if from, forked := b.x.r.log.Forked(mine.Writer); forked && theirs.Seq > 0 {
		if ours, err := b.x.r.log.Has(theirs); err != nil || ours {
			return b.beside(from, theirs, err)
		}
	}
	if theirs.Seq == mine.Seq {
		return all(mine.Seq - 1), nil // a fork, and this is its proof
	}
	return all(theirs.Seq), nil
}

// beside is what is here of a forked log besides the branch that ends with h. Where not all of that is here, the other side is about
// to send it.
func (b *bundle) beside(from uint64, h event.Head, err error) (stretch, error) {
	places := map[event.Hash]event.Place{}
	for seq := from - 1; err == nil; {
		var raws [][]byte
		raws, err = b.x.r.log.After(h.Writer, seq, chunkSize)
		if err != nil || len(raws) == 0 {
			break
		}
		for _, raw := range raws {
			p, e := event.PlaceOf(raw)
			if e != nil {
				err = e
			}
			places[p.Hash], seq = p, max(seq, p.Seq)
		}
	}
	if err != nil {
		return stretch{}, fmt.Errorf("read log of %s: %w", h.Writer, err)
	}
	branch := map[event.Hash]bool{}
	for at := h; at.Seq >= from; {
		p, ok := places[at.Hash]
		if !ok {
			return nothing, nil
		}
		branch[at.Hash], at = true, p.Before()
	}
	return stretch{from - 1, math.MaxUint64, func(h event.Hash) bool { return branch[h] }}, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// now is an honest time for an event.
func now() uint64 { return uint64(event.HLCOf(time.Now())) }

// tiny is a file of one byte that this node claims to have.
func tiny(path string) says {
	id := chunker.Sum([]byte{0})
	return says{path: path, kind: event.File, mode: 0o644, mtime: 1, size: 1, ids: id[:], hlc: now()}
}

// pathEscape publishes paths that lead out of the folder: such as no node may
// take, alone and among good ones, and good ones below a link that leads out.
func pathEscape(ctx context.Context, s *self) error {
	s.serveLies()
	s.mu.Lock()
	s.sizes[chunker.Sum([]byte{0})] = 1 // a zero: the one chunk it serves right
	s.mu.Unlock()
	bad := []string{
		"../escape", "/tmp/meerkat-escape", "a/../../escape", "a/./b", "a//b", "a/", "nul\x00byte", ".meerkat/pool",
		".meerkat/tmp/x", "x/" + string(make([]byte, 300)), "long/" + string(slices.Repeat([]byte{'n'}, 300)), "..", ".",
	}
	links := []says{
		{path: "esc", kind: event.Link, mode: 0o777, mtime: 1, target: "../../..", hlc: now()},
		{path: "abs", kind: event.Link, mode: 0o777, mtime: 1, target: "/tmp", hlc: now()},
	}
	s.spread(ctx, s.log.seal(links...), s.log.seal(tiny("esc/meerkat-escape"), tiny("abs/meerkat-escape")))
	pause(ctx, 3*time.Second) // what is not forbidden is let happen
	every(ctx, time.Second, func() {
		for _, p := range bad {
			one := *s.log // what is refused is not in the log
			s.spread(ctx, one.seal(tiny(p)))
			two := *s.log
			s.spread(ctx, two.seal(tiny("good"), tiny(p)))
			if ctx.Err() != nil {
				return
			}
		}
	})
	return nil
}

// equivocate says two things under one number, one to each target, and goes on
// with each branch at another length.
func equivocate(ctx context.Context, s *self) error {
	if len(s.targets) < 2 {
		return errors.New("needs --other")
	}
	s.serveLies()
	var common [][]byte
	for i := range 4 {
		common = append(common, s.log.seal(says{path: fmt.Sprintf("fork/common%d", i), kind: event.Dir, mode: 0o755, hlc: now()}))
	}
	left, right := *s.log, *s.log
	var branches [2][][]byte
	for i := range 3 { // the same path on both, then each its own
		l := says{path: "fork/both", kind: event.Dir, mode: 0o700 + uint64(i), own: left.head.Seq, hlc: now()}
		branches[0] = append(branches[0], left.seal(l))
	}
	for i := range 5 {
		r := says{path: fmt.Sprintf("fork/right%d", i), kind: event.Dir, mode: 0o711, hlc: now()}
		if i == 0 {
			r.path = "fork/both"
		}
		branches[1] = append(branches[1], right.seal(r))
	}
	for i, t := range s.targets[:2] {
		if err := s.push(ctx, t.ID, slices.Concat(common, branches[i])...); err != nil {
			return err
		}
	}
	return nil
}

// forgeAuthor publishes events in the names of others.
func forgeAuthor(ctx context.Context, s *self) error {
	every(ctx, 200*time.Millisecond, func() {
		for _, p := range s.others() {
			for _, epoch := range append(epochsOf(s, p), 1) {
				f := forger{key: s.key, pool: s.log.pool, as: publicKey(p), head: event.Head{Writer: event.Writer{Node: p, Epoch: epoch}}}
				if h, ok := s.pool.Head(f.head.Writer); ok {
					f.head = h
				}
				s.spread(ctx, f.seal(says{path: "forged", kind: event.Dir, mode: 0o755, hlc: now()}))
			}
		}
	})
	return nil
}

func epochsOf(s *self, p peer.ID) (es []uint64) {
	for _, h := range s.pool.Heads() {
		if h.Writer.Node == p {
			es = append(es, h.Writer.Epoch)
		}
	}
	return es
}

// badChunk says that it has everything, and serves zeros.
func badChunk(_ context.Context, s *self) error {
	s.serveLies()
	return nil
}

// bomb announces a million files of a pebibyte, with manifests that do not
// end, and batches of compressed zeros.
func bomb(ctx context.Context, s *self) error {
	s.serveLies()
	root, size := s.endless()
	for _, t := range s.targets {
		go every(ctx, time.Second, func() { s.zeros(ctx, t.ID) }) // ends with ctx
	}
	for n := 0; n < 1_000_000 && ctx.Err() == nil; {
		var raws [][]byte
		for range 4 {
			events := make([]says, 1000)
			for i := range events {
				r := root
				if n%2 == 1 { // nobody has that one
					r = chunker.Sum(fmt.Append(nil, n))
				}
				events[i] = says{
					path: fmt.Sprintf("bomb/%03d/%07d", n/10_000, n), kind: event.File, mode: 0o644, mtime: int64(n) + 1,
					size: size, class: uint64(chunker.Large), root: r[:], hlc: now(),
				}
				n++
			}
			raws = append(raws, s.log.seal(events...))
		}
		for _, t := range s.targets {
			for ctx.Err() == nil && s.push(ctx, t.ID, raws...) != nil {
				pause(ctx, 500*time.Millisecond)
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// zeros sends batches that unpack to far more than they are.
func (s *self) zeros(ctx context.Context, p peer.ID) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		return
	}
	defer enc.Close()
	for _, n := range []int{1 << 20, 256 << 20} {
		packed := enc.EncodeAll(make([]byte, n), nil)
		t, err := s.begin(ctx, p)
		if err != nil {
			s.refused.Add(1)
			return
		}
		if err := t.send(s.have(), message(frameBatch, putInt(put(nil, 1, packed), 2, uint64(n)))); err == nil {
			s.sent.Add(1)
		}
		_ = t.end() // cut off, hopefully
	}
}

// flood says more than anybody can hear: segments, hints of logs that do not
// exist, reports that are none, exchanges, and siblings without number.
func flood(ctx context.Context, s *self) error {
	for _, t := range s.targets {
		for range 4 {
			go every(ctx, 0, func() { s.knock(ctx, t.ID) }) // ends with ctx
		}
		go every(ctx, 0, func() { s.rivals(ctx, t.ID, 1000) }) // ends with ctx
	}
	var hints []byte
	for i := range 15 { // and the one of its own that is added: the most that a hint may have
		h := event.Head{Writer: event.Writer{Node: s.others()[0], Epoch: uint64(i) + 1}, Seq: math.MaxUint64, Hash: event.Hash{1}}
		hints = put(hints, 1, headBytes(h))
	}
	for n := uint64(0); ctx.Err() == nil; n++ {
		switch n % 4 {
		case 0:
			s.announce(ctx, s.log.seal(says{path: fmt.Sprintf("flood/%d", n%64), kind: event.Dir, mode: 0o755, own: s.log.head.Seq, hlc: now()}))
		case 1:
			s.publish(ctx, put(nil, annHint, put(slices.Clone(hints), 1, headBytes(s.log.head))))
		case 2:
			s.publish(ctx, put(nil, annReport, fmt.Appendf(nil, "report %d", n)))
		case 3:
			s.publish(ctx, fmt.Appendf(nil, "garbage %d", n))
		}
	}
	return nil
}

// knock begins an exchange and leaves it there.
func (s *self) knock(ctx context.Context, p peer.ID) {
	t, err := s.begin(ctx, p)
	if err != nil {
		s.refused.Add(1)
		pause(ctx, 10*time.Millisecond)
		return
	}
	s.sent.Add(1)
	_ = t.fail(nil)
}

// rivals says most things about one path that know nothing of each other, with
// vectors full of writers that nobody knows.
func (s *self) rivals(ctx context.Context, p peer.ID, most int) {
	f := s.newLog()
	f.head.Writer.Epoch += uint64(time.Now().Nanosecond() & 0xffff)
	events := make([]says, most)
	for i := range events {
		events[i] = says{path: "siblings", kind: event.Link, mode: 0o777, mtime: 1, target: fmt.Sprint(i, f.head.Writer.Epoch), hlc: now()}
	}
	huge := says{path: "vector", kind: event.Dir, mode: 0o755, hlc: now()}
	for i := range 1000 {
		huge.writers = append(huge.writers, event.Writer{Node: s.others()[0], Epoch: f.head.Writer.Epoch + uint64(i)})
		huge.seqs = append(huge.seqs, math.MaxUint64)
	}
	_ = s.push(ctx, p, f.seal(events...), f.seal(huge))
	pause(ctx, 10*time.Millisecond)
}

// siblings breaks no rule that one event could break: each of its logs says a
// few things about one path, and each is a new one.
func siblings(ctx context.Context, s *self) error {
	for _, t := range s.targets {
		go every(ctx, 0, func() { s.rivals(ctx, t.ID, 12) }) // ends with ctx
	}
	return nil
}

// replay says again and again what everybody has said already.
func replay(ctx context.Context, s *self) error {
	var raws [][]byte
	for _, h := range s.pool.Heads() {
		for seq := uint64(0); seq < h.Seq; {
			part, err := s.pool.After(h.Writer, seq, 1<<20)
			if err != nil || len(part) == 0 {
				return err
			}
			seg, err := event.OpenSegment(s.roster.ID(), part[len(part)-1])
			if err != nil {
				return err
			}
			raws, seq = append(raws, part...), seg.Last()
		}
	}
	for _, t := range s.targets {
		go every(ctx, 0, func() { // ends with ctx
			for part := range slices.Chunk(raws, 32) {
				if s.push(ctx, t.ID, part...) != nil {
					pause(ctx, 50*time.Millisecond)
				}
			}
		})
	}
	every(ctx, 0, func() {
		for _, raw := range raws {
			s.announce(ctx, raw)
		}
	})
	return nil
}

// hugeClock dates events far ahead: on new paths, against what others wrote,
// and in the vectors.
func hugeClock(ctx context.Context, s *self) error {
	s.serveLies()
	var events []says
	err := s.pool.Tree(func(p event.Path, v event.View) bool {
		if v.Value.Kind == event.File && len(events) < 3 {
			events = append(events, says{path: string(p), kind: event.Link, mode: 0o777, mtime: math.MaxInt64, target: "later", hlc: math.MaxUint64})
		}
		return true
	})
	if err != nil {
		return err
	}
	events = append(events,
		says{path: "future", kind: event.Dir, mode: 0o755, hlc: math.MaxUint64},
		says{path: "past", kind: event.Link, mode: 0o777, mtime: math.MinInt64, target: "earlier", hlc: 1},
	)
	for _, p := range s.others() { // as if it had seen what they will never sign
		for _, epoch := range epochsOf(s, p) {
			events = append(events, says{
				path: "seen", kind: event.Dir, mode: 0o755, hlc: math.MaxUint64,
				writers: []event.Writer{{Node: p, Epoch: epoch}}, seqs: []uint64{math.MaxUint64},
			})
		}
	}
	s.spread(ctx, s.log.seal(events...))
	return nil
}

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/pubsub"
)

// Field numbers of pubsub.proto.
const (
	annSegment = 1
	annHint    = 2
	annReport  = 3

	frameHello   = 1
	frameHashes  = 4
	frameRecords = 5
	frameHave    = 6
	frameReports = 7
	frameBatch   = 8
	frameDone    = 9
	frameAck     = 10
)

// field is the first bytes field of that number in a message, or nil.
func field(b []byte, num protowire.Number) []byte {
	for len(b) > 0 {
		n, typ, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return nil
		}
		size := protowire.ConsumeFieldValue(n, typ, b[tag:])
		if size < 0 {
			return nil
		}
		if n == num && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[tag:])
			return v
		}
		b = b[tag+size:]
	}
	return nil
}

// message is one frame's bytes: a body that may be empty, under its number.
func message(num protowire.Number, body []byte) []byte {
	b := protowire.AppendTag(nil, num, protowire.BytesType)
	return append(protowire.AppendVarint(b, uint64(len(body))), body...)
}

func (s *self) hello() []byte {
	id, digest := s.roster.ID(), s.roster.Digest()
	var heads, reports, nonce, print [32]byte
	_, _ = rand.Read(heads[:]) // never fails
	_, _ = rand.Read(nonce[:]) // never fails
	b := put(nil, 1, id[:])
	b = put(b, 2, digest[:])
	b = put(b, 3, heads[:])
	b = put(b, 4, reports[:16])
	b = put(b, 5, nonce[:16])
	return message(frameHello, put(b, 7, print[:16]))
}

func headBytes(h event.Head) []byte {
	b := put(nil, 1, string(h.Writer.Node))
	b = putFixed(b, 2, h.Writer.Epoch)
	return put(putInt(b, 3, h.Seq), 4, h.Hash[:])
}

// have claims to know all that this home knows, so that nothing of it is sent.
func (s *self) have(more ...event.Head) []byte {
	var b []byte
	for _, h := range slices.Concat(s.pool.Heads(), more) {
		b = put(b, 1, headBytes(h))
	}
	return message(frameHave, b)
}

// batch is a frame of segments, plain.
func batch(raws ...[]byte) []byte {
	var b []byte
	for _, raw := range raws {
		b = put(b, 1, raw)
	}
	return message(frameBatch, put(nil, 1, b))
}

// talk is an exchange that this side began and that the other side accepted.
type talk struct {
	st   network.Stream
	gone chan struct{}
}

// begin opens an exchange and says hello; what the other side says is read and
// thrown away.
func (s *self) begin(ctx context.Context, p peer.ID) (*talk, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	st, err := s.host.NewStream(ctx, p, pubsub.HeadsProtocol)
	if err != nil {
		return nil, err
	}
	_ = st.SetDeadline(time.Now().Add(20 * time.Second))
	t := &talk{st: st, gone: make(chan struct{})}
	if err := frame.Write(st, s.hello()); err != nil {
		return nil, t.fail(err)
	}
	r := bufio.NewReader(st)
	theirs, err := frame.Read(r, 1<<20, nil)
	if err != nil {
		return nil, t.fail(err)
	}
	h := field(theirs, frameHello)
	if h == nil {
		return nil, t.fail(fmt.Errorf("refused: %x", theirs))
	}
	digest := s.roster.Digest()
	go t.drain(r) // ends with the stream
	if string(field(h, 2)) != string(digest[:]) {
		err = t.send(message(frameHashes, nil), message(frameRecords, nil))
	}
	return t, err
}

func (t *talk) drain(r *bufio.Reader) {
	defer close(t.gone)
	for buf := []byte(nil); ; {
		var err error
		if buf, err = frame.Read(r, 1<<20, buf); err != nil {
			return
		}
	}
}

func (t *talk) fail(err error) error {
	_ = t.st.Reset() // of no further use
	return err
}

func (t *talk) send(msgs ...[]byte) error {
	for _, m := range msgs {
		if err := frame.Write(t.st, m); err != nil {
			return t.fail(err)
		}
	}
	return nil
}

// end finishes the exchange as an honest node would.
func (t *talk) end() error {
	err := t.send(message(frameDone, nil), message(frameAck, nil))
	if err == nil {
		_ = t.st.CloseWrite() // the rest is theirs
		<-t.gone
	}
	_ = t.st.Close() // all was said
	return err
}

// push hands segments over by an exchange.
func (s *self) push(ctx context.Context, p peer.ID, raws ...[]byte) error {
	t, err := s.begin(ctx, p)
	if err != nil {
		s.refused.Add(1)
		return err
	}
	if err := t.send(s.have(), batch(raws...)); err != nil {
		s.refused.Add(1)
		return err
	}
	s.sent.Add(int64(len(raws)))
	return t.end()
}

// spread does all it can to bring segments to every target.
func (s *self) spread(ctx context.Context, raws ...[]byte) {
	for _, raw := range raws {
		s.announce(ctx, raw)
	}
	for _, t := range s.targets {
		if err := s.push(ctx, t.ID, raws...); err != nil && ctx.Err() == nil {
			s.say("push: %v", err)
		}
	}
}

// agree answers exchanges of others: whatever they have, this node has too.
func (s *self) agree(st network.Stream) {
	defer st.Close()
	_ = st.SetDeadline(time.Now().Add(10 * time.Second))
	theirs, err := frame.Read(bufio.NewReader(st), 1<<10, nil)
	if err == nil {
		err = frame.Write(st, theirs)
	}
	if err != nil {
		s.refused.Add(1)
	}
}

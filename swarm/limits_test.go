package swarm_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/swarm"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/time/rate"
)

// raw opens a stream by hand and sends what it is given.
func raw(t *testing.T, from, to *node, frames ...[]byte) network.Stream {
	t.Helper()
	st, err := from.host.NewStream(t.Context(), to.host.ID(), swarm.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Reset() }) // the end of the test
	if err := st.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := frame.Write(st, f); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

func opening(p swarm.Pool) []byte { return append([]byte{1}, p[:]...) }

func asking(kind byte, ids ...chunker.ID) []byte {
	b := []byte{kind}
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

// The bytes of the protocol, once, as another implementation would write and read them.
func TestWireByHand(t *testing.T) {
	a, b := newNode(t, quick), newNode(t, quick)
	id := a.shelf.put([]byte("hello"))
	f := newFile(t, 20, 200_000)
	a.shelf.know(f)
	a.shelf.put(f.bytes[:f.chunks[0].Size])
	connect(t, b, a)
	st := raw(t, b, a, opening(pool), asking(2, id, chunker.Sum([]byte("no"))), asking(4, f.root, id))
	want := []byte("\x00\x00\x00\x00\x05hello" + "\x01\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x04" + "\x02" + string([]byte{byte(len(f.chunks))}) + "\x01\x00" +
		"\x00\x00\x00\x00\x02" + "\x00\x00")
	got := make([]byte, len(want))
	if _, err := io.ReadFull(st, got); err != nil || string(got) != string(want) {
		t.Errorf("replies %x, %v; want %x", got, err, want)
	}
}

func TestGarbageEndsTheStreamOnly(t *testing.T) {
	a, b := newNode(t, quick), newNode(t, quick)
	id := a.shelf.put([]byte("hello"))
	connect(t, b, a)
	for name, frames := range map[string][][]byte{
		"no opening":         {asking(2, id)},
		"an empty frame":     {{}},
		"opened twice":       {opening(pool), opening(pool)},
		"half an id":         {opening(pool), {2, 1, 2, 3}},
		"a frame too long":   {opening(pool), make([]byte, 64<<10+1)},
		"too many at once":   {opening(pool), make([]byte, 1+32*1025)},
		"an unknown request": {opening(pool), asking(200, id)},
	} {
		st := raw(t, b, a, frames...)
		if n, err := io.Copy(io.Discard, st); n != 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %d bytes of reply, %v; want the end", name, n, err)
		}
	}
	mustFetch(t, b, []swarm.Want{{ID: id, Size: 5}}, peersOf(a))
}

func TestForeignPoolIsRefused(t *testing.T) {
	a, b := newNode(t, quick), newNode(t, quick)
	id := a.shelf.put([]byte("hello"))
	connect(t, b, a)
	for _, kind := range []byte{2, 3, 4} {
		got, err := io.ReadAll(raw(t, b, a, opening(swarm.Pool{8}), asking(kind, id)))
		if string(got) != "\x04\x00\x00\x00\x00" {
			t.Errorf("request %d of a foreign pool: %x, %v; want refused", kind, got, err)
		}
	}
}

func TestStreamsOfAPeerAreLimited(t *testing.T) {
	c := quick
	c.Streams = 3
	a, b := newNode(t, c), newNode(t, quick)
	id := a.shelf.put([]byte("hello"))
	connect(t, b, a)
	open := func() bool {
		st := raw(t, b, a, opening(pool), asking(2, id))
		_, err := bufio.NewReader(st).Peek(10)
		return err == nil
	}
	for i := range 3 {
		if !open() {
			t.Errorf("stream %d was refused", i)
		}
	}
	if open() {
		t.Error("a fourth stream was served")
	}
}

func TestMemoryOfServingIsBounded(t *testing.T) {
	c := quick
	c.Serving = 2
	a, b := newNode(t, c), newNode(t, quick)
	id := a.shelf.put([]byte("hello"))
	busy, release := make(chan struct{}, 100), make(chan struct{})
	a.shelf.read = func(ctx context.Context, _ chunker.ID, c []byte) ([]byte, error) {
		busy <- struct{}{}
		<-release
		return c, nil
	}
	connect(t, b, a)
	var streams []network.Stream
	for range 5 {
		streams = append(streams, raw(t, b, a, opening(pool), asking(2, id)))
	}
	<-busy
	<-busy
	select {
	case <-busy:
		t.Error("three requests are served at once, of two allowed")
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	for i, st := range streams {
		if _, err := io.ReadFull(st, make([]byte, 10)); err != nil {
			t.Errorf("stream %d: %v", i, err)
		}
	}
}

func TestIdleStreamIsClosed(t *testing.T) {
	c := quick
	c.Idle = 50 * time.Millisecond
	a, b := newNode(t, c), newNode(t, quick)
	connect(t, b, a)
	if n, err := io.Copy(io.Discard, raw(t, b, a, opening(pool))); n != 0 || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an idle stream: %d bytes, %v; want the end", n, err)
	}
}

func TestRateLimitsHold(t *testing.T) {
	const size = 4 << 20
	f := newFile(t, 21, size)
	for _, side := range []string{"in", "out"} {
		slow := quick
		l := rate.NewLimiter(4<<20, 64<<10)
		a, b := quick, slow
		b.In = l
		if side == "out" {
			a, b = slow, quick
			a.Out = l
		}
		src, dst := newNode(t, a), newNode(t, b)
		src.shelf.add(f)
		connect(t, dst, src)
		start := time.Now()
		mustFetch(t, dst, f.wants(), peersOf(src))
		if d := time.Since(start); d < 900*time.Millisecond {
			t.Errorf("4 MiB at 4 MiB/s %s took %v", side, d)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []swarm.Config{
		{Patience: -1},
		{Window: 100},
		{Streams: -1},
		{In: rate.NewLimiter(10, 0)},
	} {
		if _, err := swarm.New(nil, nil, c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// A peer that answers with garbage costs nothing but itself.
func TestGarbageFromASource(t *testing.T) {
	f := newFile(t, 22, 2<<20)
	good, bad, b := newNode(t, quick), newNode(t, quick), newNode(t, quick)
	good.shelf.add(f)
	good.shelf.read = slowly(5 * time.Millisecond)
	replies := make(chan []byte, 8)
	for _, r := range [][]byte{{9, 9, 9, 9, 9, 9}, {0, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0, 0, 1, 7}, {0, 0, 0, 0, 0}} {
		replies <- r
	}
	bad.host.SetStreamHandler(swarm.Protocol, func(st network.Stream) {
		select {
		case r := <-replies:
			_, _ = st.Write(r) // whether it arrives does not matter
			_ = st.CloseWrite()
		default:
			_ = st.Reset()
		}
	})
	connect(t, b, good, bad)
	mustFetch(t, b, f.wants(), peersOf(good, bad))
}

package node_test

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/node"
	"github.com/bwaklog/meerkat/node/internal/pb"
	"google.golang.org/protobuf/proto"
)

func TestGarbageAndFloods(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	for _, junk := range [][]byte{{}, {0xff}, bytes.Repeat([]byte{0xff}, 100), append([]byte{5}, "hello"...), []byte(strings.Repeat("x", 1<<16))} {
		s, err := b.host.NewStream(t.Context(), a.host.ID(), joinProtocol)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write(junk) // the other side may have hung up
		_ = s.CloseWrite()   // as above
		_ = s.SetReadDeadline(time.Now().Add(5 * time.Second))
		raw, err := frame.Read(bufio.NewReader(s), 1<<20, nil)
		var m pb.Answer
		if err == nil && (proto.Unmarshal(raw, &m) != nil || m.Verdict != pb.Answer_REFUSED) {
			t.Errorf("%d bytes of junk: %v", len(junk), &m)
		}
		_ = s.Reset() // done with it
	}
	if n := len(a.admit.Requests()); n != 0 {
		t.Errorf("junk became %d requests", n)
	}
	busy := 0
	for range 40 {
		if _, err := b.admit.Ask(t.Context(), a.host.ID(), "", "joiner"); err != nil {
			wantError(t, "flood", err, "busy", 6)
			busy++
		}
	}
	if busy == 0 {
		t.Error("40 requests at once were all taken")
	}
	if n := len(a.admit.Requests()); n > 1 {
		t.Errorf("one node has %d requests", n)
	}
}

func TestAdmissionStopsWithoutLeftovers(t *testing.T) {
	a := founder(t)
	b := joinerOf(t, a)
	s, err := b.host.NewStream(t.Context(), a.host.ID(), joinProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte{100}); err != nil { // promises a message that never comes
		t.Fatal(err)
	}
	before := time.Now()
	a.stop()
	if d := time.Since(before); d > 5*time.Second {
		t.Errorf("stopping took %v", d)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	a := founder(t)
	for i := range 70 {
		key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, 64)))
		if err != nil {
			t.Fatal(err)
		}
		h := newTestHost(t, key)
		meet(t, h, a.host)
		rawAsk(t, h, a.host.ID(), &pb.Ask{Name: "n"})
		_ = h.Close() // one at a time is enough
	}
	if n := len(a.admit.Requests()); n > 64 || n < 30 {
		t.Errorf("%d requests are kept, want at most 64", n)
	}
}

func FuzzReadAnswer(f *testing.F) {
	add := func(parts ...*pb.Answer) {
		var b bytes.Buffer
		for _, m := range parts {
			raw, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			if err := frame.Write(&b, raw); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b.Bytes())
	}
	add(&pb.Answer{Verdict: pb.Answer_PENDING})
	add(&pb.Answer{Verdict: pb.Answer_REFUSED, Code: "ticket_used"})
	add(&pb.Answer{Verdict: pb.Answer_ADMITTED, More: true, Records: [][]byte{{1}}}, &pb.Answer{Verdict: pb.Answer_ADMITTED})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := node.ReadAnswer(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && a.Refused != nil && (a.Refused.Message == "" || a.Refused.Exit == 0) {
			t.Fatalf("refusal without words: %+v", a.Refused)
		}
	})
}

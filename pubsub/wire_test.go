package pubsub

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub/internal/pb"
)

const someNode = peer.ID("\x00\x24\x08\x01\x12\x20abcdefghijklmnopqrstuvwxyz012345")

func headAt(seq uint64) event.Head {
	return event.Head{Writer: event.Writer{Node: someNode, Epoch: 9}, Seq: seq, Hash: event.Hash{1, 2}}
}

func samples() []any {
	return []any{
		hello{pool: event.PoolID{1}, roster: event.Hash{2}, heads: event.Hash{3}, reports: [16]byte{4}, nonce: [16]byte{5}, count: 6, print: [16]byte{7}},
		prove{},
		refuse{ErrNotMember},
		refuse{ErrRemoved},
		refuse{errBusy},
		hashes{{1}, {2}},
		records{[][]byte{{1}, {2, 3}}, true},
		have{[]event.Head{headAt(1), headAt(7)}, map[event.Writer]uint64{headAt(1).Writer: 3}, [][shortSize]byte{{1}, {2}}, true},
		known{{headAt(1).Writer, [][shortSize]byte{{3}, {4}}, 5}, {writer: event.Writer{Node: someNode, Epoch: 10}, named: [][shortSize]byte{}}},
		reports{[][]byte{[]byte("here")}},
		batch{[]byte("packed"), 6},
		done{},
		ack{},
		opening{pool: event.PoolID{1}, nonce: [nonceSize]byte{2}, prints: [event.FanOut]print{{3}, {4}}},
		turn{},
		turn{
			parts: []part{
				{r: event.Range{Prefix: 1 << 60, Depth: 1}, prints: [event.FanOut]print{{5}}},
				{r: event.Range{Prefix: 1 << 60, Depth: 2}, leaf: true, items: []mark{{1<<60 + 5, print{6}}}},
				{leaf: true},
			},
			wants: []event.Key{7, 1 << 63}, events: []event.Proved{{Raw: []byte("raw"), Proof: []byte("proof")}},
			records: [][]byte{{8}}, more: true,
		},
	}
}

func TestFramesComeBackAsTheyWent(t *testing.T) {
	for _, m := range samples() {
		raw, err := encode(m)
		if err != nil {
			t.Fatalf("encode(%T): %v", m, err)
		}
		got, err := decode(raw)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("decode(encode(%T)) = %v, %v, want %v", m, got, err, m)
		}
	}
}

func TestAnnouncementsComeBackAsTheyWent(t *testing.T) {
	for _, m := range []any{whole("segment"), hint{headAt(3)}, report("here")} {
		raw, err := encodeGossip(m)
		if err != nil {
			t.Fatalf("encodeGossip(%T): %v", m, err)
		}
		if got, err := decodeGossip(raw); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("decodeGossip(encodeGossip(%T)) = %v, %v, want %v", m, got, err, m)
		}
	}
}

func TestMessagesBeyondLimitsAreRefused(t *testing.T) {
	many := make([]*pb.Head, maxHint+1)
	for i := range many {
		many[i] = headsOut([]event.Head{headAt(1)}, nil)[0]
	}
	frames := map[string]*pb.Frame{
		"no kind":              {},
		"hello without pool":   {Body: &pb.Frame_Hello{Hello: &pb.Hello{}}},
		"half a record hash":   {Body: &pb.Frame_Hashes{Hashes: &pb.Hashes{Hashes: make([]byte, 33)}}},
		"too many hashes":      {Body: &pb.Frame_Hashes{Hashes: &pb.Hashes{Hashes: make([]byte, 32*(maxHashes+1))}}},
		"head at 0":            {Body: &pb.Frame_Have{Have: &pb.Have{Heads: headsOut([]event.Head{headAt(0)}, nil)}}},
		"head without node":    {Body: &pb.Frame_Have{Have: &pb.Have{Heads: []*pb.Head{{Seq: 1, Hash: make([]byte, 32)}}}}},
		"head, short hash":     {Body: &pb.Frame_Have{Have: &pb.Have{Heads: []*pb.Head{{Node: []byte(someNode), Seq: 1, Hash: make([]byte, 31)}}}}},
		"half a report hash":   {Body: &pb.Frame_Have{Have: &pb.Have{Reports: make([]byte, 9)}}},
		"too many forked logs": {Body: &pb.Frame_Known{Known: &pb.Known{Logs: make([]*pb.Branches, maxBranches+1)}}},
		"too many segments":    {Body: &pb.Frame_Known{Known: knownOut(known{{writer: headAt(1).Writer, named: make([][shortSize]byte, maxNamed+1)}})}},
		"half a segment":       {Body: &pb.Frame_Known{Known: &pb.Known{Logs: []*pb.Branches{{Node: []byte(someNode), Segments: make([]byte, 9)}}}}},
		"log without node":     {Body: &pb.Frame_Known{Known: &pb.Known{Logs: []*pb.Branches{{Epoch: 1}}}}},
		"long report":          {Body: &pb.Frame_Reports{Reports: &pb.Blobs{Blobs: [][]byte{make([]byte, MaxReport+1)}}}},
		"too many small ones":  {Body: &pb.Frame_Records{Records: &pb.Blobs{Blobs: make([][]byte, maxFields+1)}}},
	}
	for name, f := range frames {
		raw, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(raw); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: decode = %v, %v, want ErrProtocol", name, got, err)
		}
	}
	announcements := map[string]*pb.Announce{
		"no kind":        {},
		"empty segment":  {Body: &pb.Announce_Segment{}},
		"long segment":   {Body: &pb.Announce_Segment{Segment: make([]byte, MaxWhole+1)}},
		"longer segment": {Body: &pb.Announce_Segment{Segment: make([]byte, maxGossip)}},
		"long report":    {Body: &pb.Announce_Report{Report: make([]byte, MaxReport+1)}},
		"many hints":     {Body: &pb.Announce_Hint{Hint: &pb.Heads{Heads: many}}},
	}
	for name, a := range announcements {
		raw, err := proto.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeGossip(raw); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: decodeGossip = %v, %v, want ErrProtocol", name, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		raw, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decode(raw)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("decode(%x) = %v, want ErrProtocol", raw, err)
			}
			return
		}
		again, err := encode(m)
		if err != nil {
			t.Fatalf("encode(decode(%x)): %v", raw, err)
		}
		if back, err := decode(again); err != nil || !proto.Equal(frameOf(t, again), frameOf(t, mustEncode(t, back))) {
			t.Fatalf("decode(encode(%v)) = %v, %v", m, back, err)
		}
	})
}

func mustEncode(t *testing.T, m any) []byte {
	raw, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func frameOf(t *testing.T, raw []byte) *pb.Frame {
	f := &pb.Frame{}
	if err := proto.Unmarshal(raw, f); err != nil {
		t.Fatal(err)
	}
	return f
}

func FuzzDecodeGossip(f *testing.F) {
	for _, m := range []any{whole("segment"), hint{headAt(3)}, report("here")} {
		raw, err := encodeGossip(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeGossip(raw)
		if err != nil {
			return
		}
		again, err := encodeGossip(m)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeGossip(again); err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%v came back as %v, %v", m, back, err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	p, err := newPacker()
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 1, 100, 300, 70_000} {
		plain, err := pile([][]byte{bytes.Repeat([]byte("meerkat"), n)})
		if err != nil {
			f.Fatal(err)
		}
		packed, size := p.pack(plain)
		f.Add(packed, size)
	}
	f.Fuzz(func(t *testing.T, packed []byte, size uint32) {
		b, err := p.unpack(packed, size)
		if err != nil {
			return
		}
		if size != 0 && len(b) != int(size) || len(b) > max(maxUnpacked, len(packed)) {
			t.Fatalf("unpack(%d bytes, %d) gave %d bytes", len(packed), size, len(b))
		}
		_, _ = unpile(b) // must not panic
	})
}

func TestBatchesComeBackAsTheyWent(t *testing.T) {
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		raws := rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange(0, 3), 0, 5000), 0, 40).Draw(t, "segments")
		plain, err := pile(raws)
		if err != nil {
			t.Fatal(err)
		}
		packed, size := p.pack(plain)
		got, err := p.unpack(packed, size)
		if err != nil {
			t.Fatal(err)
		}
		back, err := unpile(got)
		if err != nil || len(back) != len(raws) {
			t.Fatalf("%d segments came back as %d, %v", len(raws), len(back), err)
		}
		for i := range raws {
			if !bytes.Equal(back[i], raws[i]) {
				t.Fatalf("segment %d changed", i)
			}
		}
	})
}

func TestShortBatchesSayTheirSize(t *testing.T) {
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 600 {
		plain := bytes.Repeat([]byte{7}, n)
		packed, size := p.pack(plain)
		if got, err := p.unpack(packed, size); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes came back as %d, %v", n, len(got), err)
		}
	}
}

func TestOutboxShrinksWhatDoesNotFit(t *testing.T) {
	o := newOutbox()
	for i := range uint64(1000) {
		o.segment(event.Segment{Writer: event.Writer{Node: "w"}, First: i + 1, Leaves: make([]event.Leaf, 1), Raw: []byte{1}})
	}
	var segs, hints int
	var last uint64
	for !o.empty() {
		switch m := o.next().(type) {
		case whole:
			segs++
		case hint:
			hints++
			last = m[0].Seq
		}
	}
	if segs != maxQueued || hints != 1 || last != 1000 {
		t.Errorf("1000 segments became %d segments and %d hints, the last at %d; want %d, 1, 1000", segs, hints, last, maxQueued)
	}
	o.news([]event.Head{{Writer: event.Writer{Node: "w"}, Seq: 1000}, {Writer: event.Writer{Node: "v"}, Seq: 2}})
	if got, ok := o.next().(hint); !ok || len(got) != 1 || got[0].Writer.Node != "v" {
		t.Errorf("news gave %v, want only the head of v: w's has been told", got)
	}
}

func TestDigestOfHeadsIsOfTheSet(t *testing.T) {
	hs := []event.Head{{Writer: event.Writer{Node: "a", Epoch: 1}, Seq: 1}, {Writer: event.Writer{Node: "a", Epoch: 2}, Seq: 1}, headAt(3)}
	want := digestHeads(hs)
	rand.Shuffle(len(hs), func(i, j int) { hs[i], hs[j] = hs[j], hs[i] })
	if got := digestHeads(hs); got != want {
		t.Error("the order of heads changes their digest")
	}
	hs[0].Seq++
	if got := digestHeads(hs); got == want {
		t.Error("another head gives the same digest")
	}
}

func TestWhoHasManyLogsLeavesRoomForOthers(t *testing.T) {
	var hs []event.Head
	for i := range uint64(100) {
		hs = append(hs, event.Head{Writer: event.Writer{Node: "liar", Epoch: i}, Seq: 1})
	}
	hs = append(hs, event.Head{Writer: event.Writer{Node: "honest", Epoch: 1}, Seq: 1}, event.Head{Writer: event.Writer{Node: "zealous", Epoch: 1}, Seq: 1})
	got := fewer(hs, 10)
	of := map[peer.ID]int{}
	for _, h := range got {
		of[h.Writer.Node]++
	}
	if len(got) != 10 || of["honest"] != 1 || of["zealous"] != 1 {
		t.Errorf("fewer than 102 heads, most of one node: %v, want 10, all of the others among them", of)
	}
}

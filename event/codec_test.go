package event_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/event/internal/pb"
)

// samples are drafts that use every field, for an author that has said one event already.
func samples(a *author) []event.Event {
	o, own := newAuthor(77).head.Writer, a.head.Writer
	ctx := event.Vector{o: 300, own: 1}
	long := event.Value{Kind: event.File, Size: 9 << 20, Class: chunker.Medium, Root: chunker.Sum([]byte("r")), Mode: 0o755, MTime: -5}
	many := event.Value{Kind: event.File, Mode: 0o4, MTime: 3}
	for i := range 8 {
		many.Chunks = append(many.Chunks, chunker.Chunk{ID: chunker.Sum([]byte{byte(i)}), Size: uint32(1000 * (i + 1))})
		many.Size += int64(1000 * (i + 1))
	}
	many.Root = chunker.Manifest{Size: many.Size, Chunks: many.Chunks}.Root()
	return []event.Event{
		{Path: "a/b", Value: file("hello", 0o644, 1), HLC: 5 << 16},
		{Path: "empty", Value: file("", 0, 0), Ctx: ctx, HLC: 1},
		{Path: "many", Value: many, Ctx: ctx, CDot: event.Dot{Writer: own, Seq: 1}, MDot: event.Dot{Writer: o, Seq: 299}, HLC: 1},
		{Path: "long", Value: long, Ctx: event.Vector{o: 1}, From: "a/b", Prev: []chunker.ID{{1}, {2}, {3}, {4}}},
		{Path: "l\xff", Value: link("../x"), Ctx: event.Vector{own: 1}},
		{Path: "d", Value: dir(0o711)},
		{Path: "t", Value: event.Value{Mode: 0o700}, WasDir: true, Ctx: ctx},
		{Path: "u", Value: dir(0o700), Found: true},
	}
}

func TestSealedEventsAreReadBack(t *testing.T) {
	a := newAuthor(1)
	a.say(event.Event{Path: "first", Value: dir(0o755)})
	drafts := samples(a)
	segs := must(event.Seal(a.key, testPool, a.head, nil, drafts))(t)
	got := must(event.OpenSegment(testPool, segs[0].Raw))(t)
	if d := cmp.Diff(segs[0], got); d != "" {
		t.Errorf("opened segment differs: %s", d)
	}
	for i, l := range got.Leaves {
		e := drafts[i]
		if e.CDot.IsZero() {
			e.CDot = l.Dot
		}
		if e.MDot.IsZero() {
			e.MDot = l.Dot
		}
		if d := cmp.Diff(e, l.Event); d != "" {
			t.Errorf("event %d differs: %s", i, d)
		}
		proof := must(got.Proof(i))(t)
		if one := must(event.VerifyProof(testPool, proof, l.Raw))(t); one.Hash != l.Hash {
			t.Errorf("proof of %d opens %v, want %v", i, one.Hash, l.Hash)
		}
		if _, err := event.VerifyProof(testPool, proof, got.Leaves[(i+1)%len(drafts)].Raw); !errors.Is(err, event.ErrSegment) && !errors.Is(err, event.ErrEvent) {
			t.Errorf("proof of %d holds for another event: %v", i, err)
		}
	}
}

// The generated code reads what the hand-written codec wrote, and would have written the same.
func TestEncodingIsTheSchema(t *testing.T) {
	a := newAuthor(1)
	a.say(event.Event{Path: "first", Value: dir(0o755)})
	seg := must(event.Seal(a.key, testPool, a.head, nil, samples(a)))(t)[0]
	var m pb.Segment
	if err := proto.Unmarshal(seg.Raw, &m); err != nil {
		t.Fatal(err)
	}
	if again := must(proto.MarshalOptions{Deterministic: true}.Marshal(&m))(t); string(again) != string(seg.Raw) {
		t.Error("the schema writes a segment in another way")
	}
	for i, l := range m.Leaves {
		var e pb.Event
		if err := proto.Unmarshal(l.GetEvent(), &e); err != nil {
			t.Fatal(err)
		}
		if again := must(proto.MarshalOptions{Deterministic: true}.Marshal(&e))(t); string(again) != string(seg.Leaves[i].Raw) {
			t.Errorf("the schema writes event %d in another way", i)
		}
		if string(e.Path) != string(seg.Leaves[i].Event.Path) || len(e.ProtoReflect().GetUnknown()) != 0 {
			t.Errorf("event %d has path %q and unknown fields %x", i, e.Path, e.ProtoReflect().GetUnknown())
		}
	}
	var h pb.Header
	if err := proto.Unmarshal(m.Header, &h); err != nil || int(h.Count) != len(m.Leaves) || h.First != 2 {
		t.Errorf("header is %v, %v", &h, err)
	}
}

func TestSmallFileIsSmall(t *testing.T) {
	a := newAuthor(1)
	l := a.say(event.Event{Path: "a", Value: file("hello", 0o644, 1790000000e9), HLC: 1 << 60})
	l = a.say(event.Change("a", stateOf(l).View(false).Known(), file("hullo", 0o644, 1790000001e9), 1<<60))
	if n := len(l.Raw); n > 200 {
		t.Errorf("a small file's event has %d bytes", n)
	}
}

func TestSealRefuses(t *testing.T) {
	a, o := newAuthor(1), newAuthor(2).head.Writer
	a.say(event.Event{Path: "first", Value: dir(0o755)})
	wrongRoot, short, big := file("a", 0o644, 1), file("abc", 0o644, 1), event.Vector{}
	wrongRoot.Root, short.Size = chunker.ID{1}, 2
	for i := range uint64(event.MaxVector + 1) {
		big[event.Writer{Node: o.Node, Epoch: i}] = 1
	}
	prev5 := []chunker.ID{{1}, {2}, {3}, {4}, {5}}
	for name, c := range map[string]struct {
		e    event.Event
		want error
	}{
		"an invalid path":           {event.Event{Path: "a//b", Value: dir(0)}, event.ErrPath},
		"the node's own folder":     {event.Event{Path: ".meerkat/x", Value: dir(0)}, event.ErrPath},
		"an invalid hint":           {event.Event{Path: "a", From: "..", Value: dir(0)}, event.ErrPath},
		"more than nine mode bits":  {event.Event{Path: "a", Value: dir(0o1755)}, event.ErrEvent},
		"a root of other chunks":    {event.Event{Path: "a", Value: wrongRoot}, event.ErrEvent},
		"sizes that do not add up":  {event.Event{Path: "a", Value: short}, event.ErrEvent},
		"a negative size":           {event.Event{Path: "a", Value: event.Value{Kind: event.File, Size: -1}}, event.ErrEvent},
		"a file without content":    {event.Event{Path: "a", Value: event.Value{Kind: event.File, Size: 1}}, event.ErrEvent},
		"a target with NUL":         {event.Event{Path: "a", Value: link("a\x00")}, event.ErrEvent},
		"a long target":             {event.Event{Path: "a", Value: link(strings.Repeat("a", 4097))}, event.ErrEvent},
		"a directory with mtime":    {event.Event{Path: "a", Value: event.Value{Kind: event.Dir, MTime: 1}}, event.ErrEvent},
		"a live thing that was":     {event.Event{Path: "a", Value: dir(0), WasDir: true}, event.ErrEvent},
		"a tombstone that is there": {event.Event{Path: "a", Found: true}, event.ErrEvent},
		"five old contents":         {event.Event{Path: "a", Value: dir(0), Prev: prev5}, event.ErrEvent},
		"an old content twice":      {event.Event{Path: "a", Value: dir(0), Prev: []chunker.ID{{1}, {1}}}, event.ErrEvent},
		"its own dot as seen":       {event.Event{Path: "a", Value: dir(0), Ctx: event.Vector{a.head.Writer: 3}}, event.ErrRewound},
		"a dot outside of ctx":      {event.Event{Path: "a", Value: dir(0), CDot: event.Dot{Writer: o, Seq: 1}}, event.ErrEvent},
		"a dot beyond ctx":          {event.Event{Path: "a", Value: dir(0), Ctx: event.Vector{o: 1}, MDot: event.Dot{Writer: o, Seq: 2}}, event.ErrEvent},
		"a zero in ctx":             {event.Event{Path: "a", Value: dir(0), Ctx: event.Vector{o: 0}}, event.ErrEvent},
		"a writer without a key":    {event.Event{Path: "a", Value: dir(0), Ctx: event.Vector{{Node: "x"}: 1}}, event.ErrEvent},
		"too many writers":          {event.Event{Path: "a", Value: dir(0), Ctx: big}, event.ErrEvent},
	} {
		good := event.Event{Path: "ok", Value: dir(0)}
		if segs, err := event.Seal(a.key, testPool, a.head, nil, []event.Event{good, c.e}); !errors.Is(err, c.want) || segs != nil {
			t.Errorf("sealing %s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSegmentsAreSplitChainedAndPruned(t *testing.T) {
	a := newAuthor(3)
	var drafts []event.Event
	for i := range 5000 {
		drafts = append(drafts, event.Event{Path: event.Path(strings.Repeat("x", 90)).Join(string(rune('a' + i%26))), Value: file("y", 0o644, int64(i))})
	}
	before := &event.Head{Writer: event.Writer{Node: a.head.Writer.Node, Epoch: 1}, Seq: 4, Hash: event.Hash{4}}
	segs := must(event.Seal(a.key, testPool, a.head, before, drafts))(t)
	next, prev := uint64(1), event.Hash{}
	for i, s := range segs {
		got := must(event.OpenSegment(testPool, s.Raw))(t)
		if got.First != next || got.Prev != prev || (got.PrevEpoch != nil) != (i == 0) || len(s.Raw) > event.MaxSegment {
			t.Fatalf("segment %d: first %d, prev %v, %d bytes", i, got.First, got.Prev, len(s.Raw))
		}
		next, prev = s.Last()+1, s.Hash
		pruned := must(s.Prune(func(l event.Leaf) bool { return l.Dot.Seq%2 == 0 }))(t)
		again := must(event.OpenSegment(testPool, pruned.Raw))(t)
		if again.Hash != s.Hash || len(pruned.Raw) >= len(s.Raw) {
			t.Fatalf("pruned segment %d is another: %d bytes of %d", i, len(pruned.Raw), len(s.Raw))
		}
		for j, l := range again.Leaves {
			if l.Hash != s.Leaves[j].Hash || l.Dot != s.Leaves[j].Dot || (l.Raw == nil) != (l.Dot.Seq%2 == 0) {
				t.Fatalf("leaf %v after pruning: %+v", s.Leaves[j].Dot, l)
			}
		}
	}
	if len(segs) < 3 || next != 5001 {
		t.Errorf("%d segments up to %d", len(segs), next-1)
	}
}

func TestLatestInIsThatOfTheEventsThatAreThere(t *testing.T) {
	a, late := newAuthor(3), event.HLC(9<<40)
	times := []event.HLC{5 << 40, late, 0, 7 << 40} // a clock that went back
	var drafts []event.Event
	for i, hlc := range times {
		drafts = append(drafts, event.Event{Path: event.Path(fmt.Sprint(strings.Repeat("p", 40), i)), Value: file("y", 0o644, int64(i)), HLC: hlc})
	}
	s := must(event.Seal(a.key, testPool, a.head, nil, drafts))(t)[0]
	for most, want := range map[event.HLC]event.HLC{late: late, 7 << 40: 7 << 40, 5 << 40: 5 << 40, 0: 0} {
		kept := must(s.Prune(func(l event.Leaf) bool { return l.Event.HLC > most }))(t)
		if got := must(event.LatestIn(kept.Raw))(t); got != want {
			t.Errorf("of events up to %d: latest %d, want %d", most, got, want)
		}
	}
	none := must(s.Prune(func(event.Leaf) bool { return true }))(t)
	if got := must(event.LatestIn(none.Raw))(t); got != 0 {
		t.Errorf("of none: latest %d, want 0", got)
	}
	if _, err := event.LatestIn(s.Raw[:len(s.Raw)-1]); err == nil {
		t.Error("a segment that is cut short has a latest time")
	}
}

func TestEveryChangedByteOfASegmentIsNoticed(t *testing.T) {
	a := newAuthor(1)
	a.say(event.Event{Path: "first", Value: dir(0o755)})
	raw := must(event.Seal(a.key, testPool, a.head, nil, samples(a)))(t)[0].Raw
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if _, err := event.OpenSegment(testPool, bad); err == nil {
			t.Fatalf("a change of byte %d of %d passes", i, len(raw))
		}
		if _, err := event.OpenSegment(testPool, raw[:i]); err == nil {
			t.Fatalf("the first %d bytes of %d pass", i, len(raw))
		}
	}
	if _, err := event.OpenSegment(event.PoolID{9}, raw); !errors.Is(err, event.ErrSegment) {
		t.Errorf("another pool's segment: %v", err)
	}
	if _, err := event.Seal(newAuthor(2).key, testPool, a.head, nil, samples(a)); !errors.Is(err, event.ErrSegment) {
		t.Errorf("sealing for another: %v", err)
	}
}

package event_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bwaklog/meerkat/event"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew: a change of the protocol")

// vectors are for other implementations; everything binary is in hex.
type vectors struct {
	Seed    string // of the Ed25519 key
	Epoch   uint64
	Pool    string
	Segment string
	Hash    string
	Leaves  []vectorLeaf
	Paths   []vectorPath
}

type vectorLeaf struct{ Path, Event, Hash, Entry string }

// vectorPath is the segments whose events, all of Path, make State and the winner of View.
type vectorPath struct {
	Path     string
	Segments []string
	State    string
	Item     string
	Kind     string
	Content  string
	Mode     uint16
	MTime    int64
	Copies   []string
}

func makeVectors(t *testing.T) vectors {
	a := newAuthor(1)
	a.say(event.Event{Path: "first", Value: dir(0o755)})
	s := must(event.Seal(a.key, testPool, a.head, nil, samples(a)))(t)[0]
	out := vectors{
		Seed: "0101010101010101010101010101010101010101010101010101010101010101", Epoch: 1,
		Pool: testPool.String(), Segment: hex.EncodeToString(s.Raw), Hash: s.Hash.String(),
	}
	for _, l := range s.Leaves {
		entry := l.Event.Value.Entry(l.Event.Path)
		out.Leaves = append(out.Leaves, vectorLeaf{
			hex.EncodeToString([]byte(l.Event.Path)), hex.EncodeToString(l.Raw), l.Hash.String(), hex.EncodeToString(entry[:]),
		})
	}
	old := file("old", 0o644, 1)
	chmod := old
	chmod.Mode = 0o755
	for p, vs := range []struct{ x, y event.Value }{
		{chmod, file("new", 0o644, 2)}, {file("x", 0o644, 3), file("y", 0o600, 4)}, {event.Value{}, file("z", 0o644, 5)},
	} {
		out.Paths = append(out.Paths, makePath(t, event.Path([]string{"merge", "conflict.txt", "delete"}[p]), old, vs.x, vs.y))
	}
	return out
}

func makePath(t *testing.T, p event.Path, old, x, y event.Value) vectorPath {
	a, b := newAuthor(1), newAuthor(2)
	out := vectorPath{Path: string(p)}
	var s event.State
	say := func(a *author, k event.Known, v event.Value, at event.HLC) {
		segs := must(event.Seal(a.key, testPool, a.head, nil, []event.Event{event.Change(p, k, v, at)}))(t)
		a.head, out.Segments = segs[0].Head(), append(out.Segments, hex.EncodeToString(segs[0].Raw))
		s, _ = s.Add(segs[0].Leaves[0])
	}
	say(a, event.Known{}, old, 1<<32)
	k := s.View(false).Known()
	say(a, k, x, 2<<32)
	say(b, k, y, 3<<32)
	v, item := s.View(false), s.Item(p)
	id := v.Value.Content()
	out.State, out.Item, out.Content = hex.EncodeToString(s.Encode()), hex.EncodeToString(item[:]), hex.EncodeToString(id[:])
	out.Kind, out.Mode, out.MTime = v.Value.Kind.String(), v.Value.Mode, v.Value.MTime
	for _, l := range v.Losers {
		out.Copies = append(out.Copies, string(event.ConflictName(p, l.Leaf)))
	}
	return out
}

func TestVectors(t *testing.T) {
	got := makeVectors(t)
	if *update {
		b := must(json.MarshalIndent(got, "", " "))(t)
		if err := os.WriteFile("testdata/vectors.json", append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var want vectors
	if err := json.Unmarshal(must(os.ReadFile("testdata/vectors.json"))(t), &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the protocol has changed: %s", d)
	}
}

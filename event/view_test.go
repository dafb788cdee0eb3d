package event_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bwaklog/meerkat/event"
)

// pair is two authors that had one thing at "p" and change it without knowing of each other.
func TestConcurrentChanges(t *testing.T) {
	old := file("old", 0o644, 1)
	mode := func(v event.Value, m uint16) event.Value { v.Mode = m; return v }
	touch := func(v event.Value, at int64) event.Value { v.MTime = at; return v }
	edited := file("new", 0o644, 2)
	for name, c := range map[string]struct {
		from, x, y event.Value
		kids       bool
		want       event.Value
		losers     int
		implied    bool
	}{
		"chmod and edit merge":                   {from: old, x: mode(old, 0o755), y: edited, want: mode(edited, 0o755)},
		"chmod before edit merges":               {from: old, x: edited, y: mode(old, 0o755), want: mode(edited, 0o755)},
		"touch and edit keeps the edit":          {from: old, x: edited, y: touch(old, 99), want: edited},
		"edit beats delete":                      {from: old, x: edited, y: event.Value{}, want: edited},
		"delete before edit loses too":           {from: old, x: event.Value{}, y: edited, want: edited},
		"chmod beats delete":                     {from: old, x: mode(old, 0o600), y: event.Value{}, want: mode(old, 0o600)},
		"two edits conflict":                     {from: old, x: edited, y: file("other", 0o644, 3), want: file("other", 0o644, 3), losers: 1},
		"equal edits are one, the later's":       {from: old, x: edited, y: touch(edited, 8), want: touch(edited, 8)},
		"edit and link conflict":                 {from: old, x: edited, y: link("x"), want: link("x"), losers: 1},
		"directory beats a later file":           {from: old, x: dir(0o700), y: edited, want: dir(0o700), losers: 1},
		"two directories are one":                {from: old, x: dir(0o700), y: dir(0o755), want: dir(0o755)},
		"both deleted":                           {from: old, x: event.Value{}, y: event.Value{}, want: event.Value{Mode: 0o644}},
		"deleted directory stays for a child":    {from: dir(0o710), x: event.Value{}, y: event.Value{}, kids: true, want: dir(0o710), implied: true},
		"file over directory yields for a child": {from: dir(0o710), x: edited, y: edited, kids: true, want: dir(0o755), losers: 1, implied: true},
		"chmod of a directory that a file took":  {from: dir(0o710), x: dir(0o750), y: edited, kids: true, want: dir(0o750), losers: 1},
	} {
		a, b := newAuthor(1), newAuthor(2)
		first := a.say(event.Change("p", event.Known{}, c.from, 1<<16))
		k := stateOf(first).View(false).Known()
		x, y := a.say(event.Change("p", k, c.x, 2<<16)), b.say(event.Change("p", k, c.y, 3<<16))
		v := stateOf(y, first, x).View(c.kids)
		if !v.Value.Same(c.want) || len(v.Losers) != c.losers || v.Implied != c.implied {
			t.Errorf("%s: %+v with %d losers, implied %v; want %+v, %d, %v",
				name, v.Value, len(v.Losers), v.Implied, c.want, c.losers, c.implied)
		}
	}
}

// Somebody who has lost its memory finds what another, who has not, left behind.
func TestWhatIsFoundDoesNotComeBack(t *testing.T) {
	old := file("old", 0o644, 1)
	touched := old
	touched.MTime = 9
	for name, c := range map[string]struct {
		was, now, found event.Value
		fresh           bool // it was not found, but made
		want            event.Value
		losers          int
	}{
		"a deleted file stays away":           {was: old, now: event.Value{}, found: touched, want: event.Value{Mode: 0o644}},
		"a deleted directory stays away":      {was: dir(0o700), now: event.Value{}, found: dir(0o700), want: event.Value{Mode: 0o700}},
		"an older version is no conflict":     {was: old, now: file("new", 0o644, 2), found: old, want: file("new", 0o644, 2)},
		"what nobody knows is a conflict":     {was: old, now: file("new", 0o644, 2), found: link("x"), want: link("x"), losers: 1},
		"what nobody knows outlives a delete": {was: old, now: event.Value{}, found: link("x"), want: link("x")},
		"a file made anew outlives a delete":  {was: old, now: event.Value{}, found: old, fresh: true, want: old},
		"a directory outlives a file's end":   {was: old, now: event.Value{}, found: dir(0o700), want: dir(0o700)},
	} {
		a, b := newAuthor(1), newAuthor(2)
		first := a.say(event.Change("p", event.Known{}, c.was, 1<<16))
		last := a.say(event.Change("p", stateOf(first).View(false).Known(), c.now, 2<<16))
		e := event.Change("p", event.Known{}, c.found, 3<<16)
		e.Found = !c.fresh
		s := stateOf(b.say(e), last, first)
		v := s.View(false)
		if !v.Value.Same(c.want) || len(v.Losers) != c.losers {
			t.Errorf("%s: %+v with %d losers, want %+v with %d", name, v.Value, len(v.Losers), c.want, c.losers)
		}
	}
}

// Nobody undoes a deletion by settling a conflict whose winner was deleted meanwhile.
func TestSettlingIsNoEdit(t *testing.T) {
	a, b := newAuthor(1), newAuthor(2)
	mine, theirs := file("mine", 0o644, 1), file("theirs", 0o644, 2)
	lost := a.say(event.Change("p", event.Known{}, mine, 1<<16))
	won := b.say(event.Change("p", event.Known{}, theirs, 2<<16))
	none := func(event.Path) event.State { return event.State{} }
	now := func() event.HLC { return 3 << 16 }
	var settled event.Leaf
	for _, e := range event.Settle("p", stateOf(lost, won), false, none, now) {
		settled = a.say(e)
	}
	gone := b.say(event.Change("p", stateOf(won).View(false).Known(), event.Value{}, 4<<16))
	v := stateOf(settled, gone, lost, won).View(false)
	if v.Value.Live() || len(v.Losers) != 0 {
		t.Errorf("the deleted winner is %v with %d losers", v.Value, len(v.Losers))
	}
	next := b.say(event.Change("p", v.Known(), file("next", 0o644, 3), 5<<16))
	if s := stateOf(next, settled, gone, lost, won); len(s.Live) != 1 {
		t.Errorf("%d live events after the next edit, want it alone", len(s.Live))
	}
}

// A conflict that something found has won is settled by saying that again, and it is still only found: somebody who had seen
// it may have deleted it, which nobody at hand knows yet.
func TestSettledFindingIsStillFound(t *testing.T) {
	a, b, c := newAuthor(1), newAuthor(2), newAuthor(3)
	old := file("old", 0o644, 1)
	first := a.say(event.Change("p", event.Known{}, old, 1<<16))
	gone := a.say(event.Change("p", stateOf(first).View(false).Known(), event.Value{}, 2<<16))
	other := b.say(event.Change("p", event.Known{}, file("other", 0o644, 2), 3<<16))
	e := event.Change("p", event.Known{}, old, 4<<16)
	e.Found = true
	found := c.say(e)
	for name, siblings := range map[string][]event.Leaf{"found alone": {found, other}, "made as well": {found, other, c.say(event.Change("p", event.Known{}, old, 5<<16))}} {
		s := stateOf(siblings...)
		for _, e := range event.Settle("p", s, false, func(event.Path) event.State { return event.State{} }, func() event.HLC { return 6 << 16 }) {
			if e.Path == "p" {
				s, _ = s.Add(b.say(e))
			}
		}
		s, _ = s.Add(gone)
		if got, want := s.View(false).Value.Live(), len(siblings) > 2; got != want {
			t.Errorf("%s: the deleted file is back: %v, want %v", name, got, want)
		}
	}
}

// What was left behind counts as seen, so it does not come up again when the path's memory has gone further.
func TestWhatIsFoundIsSeenByTheNextEdit(t *testing.T) {
	a, b := newAuthor(1), newAuthor(2)
	first := a.say(event.Change("p", event.Known{}, file("old", 0o644, 1), 1<<16))
	gone := a.say(event.Change("p", stateOf(first).View(false).Known(), event.Value{}, 2<<16))
	e := event.Change("p", event.Known{}, file("old", 0o644, 1), 3<<16)
	e.Found = true
	found := b.say(e)
	s := stateOf(first, gone, found)
	for i := range 2 * event.MaxPrev {
		s, _ = s.Add(a.say(event.Change("p", s.View(false).Known(), file(strings.Repeat("x", i+1), 0o644, 1), event.HLC(9+i)<<16)))
	}
	if v := s.View(false); len(s.Live) != 1 || len(v.Losers) != 0 || !v.Settled {
		t.Errorf("%d live events, %d losers, settled %v", len(s.Live), len(v.Losers), v.Settled)
	}
}

func TestChangeKeepsHistory(t *testing.T) {
	a := newAuthor(1)
	var s event.State
	for i, text := range []string{"1", "2", "3", "4", "5", "6", "5"} {
		s, _ = s.Add(a.say(event.Change("p", s.View(false).Known(), file(text, 0o644, int64(i)), event.HLC(i+1))))
	}
	s, _ = s.Add(a.say(event.Change("p", s.View(false).Known(), event.Value{}, 9)))
	v := s.View(false)
	want := []string{"5", "6", "4", "3"}
	for i, id := range v.Prev {
		if id != file(want[i], 0, 0).Root {
			t.Errorf("prev %d is not %q", i, want[i])
		}
	}
	if len(v.Prev) != 4 || v.Value.Mode != 0o644 || len(s.Live) != 1 || !v.Settled {
		t.Errorf("tombstone is %+v", v)
	}
}

func TestConflictName(t *testing.T) {
	l := event.Leaf{Hash: event.Hash{1, 2, 3, 4, 5, 6}, Event: event.Event{
		HLC: event.HLCOf(time.Date(2026, 11, 22, 3, 4, 5, 6, time.UTC)),
	}}
	const tail = ".conflict-20261122T030405Z-aebagbaf"
	for p, want := range map[event.Path]event.Path{
		"doc.md":                      "doc" + tail + ".md",
		"a/b.tar.gz":                  "a/b.tar" + tail + ".gz",
		"Makefile":                    "Makefile" + tail,
		".hidden":                     ".hidden" + tail,
		".hidden.txt":                 ".hidden" + tail + ".txt",
		"end.":                        "end." + tail,
		"...":                         "..." + tail,
		"doc" + tail + ".md":          "doc" + tail + ".md",
		"doc" + tail + tail + ".md":   "doc" + tail + ".md",
		"Makefile" + tail:             "Makefile" + tail,
		"a.conflict-of-interest.txt":  "a.conflict-of-interest" + tail + ".txt",
		"doc.conflict-20261122T0304Z": "doc" + tail + ".conflict-20261122T0304Z",
	} {
		if got := event.ConflictName(p, l); got != want {
			t.Errorf("ConflictName(%q) = %q, want %q", p, got, want)
		}
	}
}

func TestConflictNameFits(t *testing.T) {
	l := event.Leaf{Hash: event.Hash{1}, Event: event.Event{HLC: 1<<64 - 1}}
	deep := event.Path(strings.Repeat("abcdefg/", 512))
	for _, p := range []event.Path{
		event.Path(strings.Repeat("é", 124) + ".txt"), event.Path(strings.Repeat("日本", 42)),
		event.Path("a." + strings.Repeat("e", 253)), deep[:4090] + "xyz", deep[:4040] + "x.txt", deep[:4056] + "日本日本.e",
	} {
		got := event.ConflictName(p, l)
		if _, err := event.ParsePath([]byte(got)); err != nil || !utf8.ValidString(string(got)) {
			t.Errorf("copy of %q is %q: %v", p, got, err)
		}
		if strings.HasPrefix(got.Base(), ".conflict") {
			t.Errorf("copy of %q has no name: %q", p, got)
		}
		if len(p.Base()) > 200 && strings.HasSuffix(string(p), ".txt") && !strings.HasSuffix(string(got), ".txt") {
			t.Errorf("copy of %q lost its extension: %q", p, got)
		}
	}
}

func TestDeletedCopyStaysDeleted(t *testing.T) {
	a, b := newAuthor(1), newAuthor(2)
	s := stateOf(a.say(event.Change("f", event.Known{}, file("x", 0o644, 1), 1)),
		b.say(event.Change("f", event.Known{}, link("y"), 0)))
	tree := map[event.Path]event.State{}
	at := func(p event.Path) event.State { return tree[p] }
	now := func() event.HLC { return 5 }
	es := event.Settle("f", s, false, at, now)
	if len(es) != 2 || !es[0].Value.Same(link("y")) {
		t.Fatalf("settled by %+v", es)
	}
	c := a.say(es[0])
	tree[es[0].Path] = stateOf(c, b.say(event.Change(es[0].Path, stateOf(c).View(false).Known(), event.Value{}, 6)))
	if es := event.Settle("f", s, false, at, now); len(es) != 1 || es[0].Path != "f" {
		t.Errorf("a deleted copy comes back: %+v", es)
	}
}

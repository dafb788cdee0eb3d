package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/store"
)

// openLogs is a replica that has nothing but a store, and a way to write its
// log; each call makes one segment or more.
func openLogs(t *testing.T) (*replica, func(...event.Path)) {
	t.Helper()
	r, say := openTwoLogs(t)
	return r, func(paths ...event.Path) { t.Helper(); say(0, paths...) }
}

// openTwoLogs is openLogs for a node that wrote in two epochs; say names which.
func openTwoLogs(t *testing.T) (*replica, func(int, ...event.Path)) {
	t.Helper()
	now := event.HLC(1_700_000_000_000 << 16)
	return logsAt(t, &now)
}

// logsAt is openTwoLogs by a clock that the test may set.
func logsAt(t testing.TB, now *event.HLC) (*replica, func(int, ...event.Path)) {
	t.Helper()
	key, self := testKey(t, 1)
	genesis, err := pool.Found(key, "home", "a", *now)
	if err != nil {
		t.Fatal(err)
	}
	roster, err := pool.NewRoster([]pool.Record{genesis})
	if err != nil {
		t.Fatal(err)
	}
	id := roster.ID()
	db, err := store.Open(store.Config{Dir: "state", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	st, err := db.Pool(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.AddRecords([]pool.Record{genesis}); err != nil {
		t.Fatal(err)
	}
	heads := []event.Head{{Writer: event.Writer{Node: self, Epoch: 1}}, {Writer: event.Writer{Node: self, Epoch: 2}}}
	return &replica{id: id, st: st, self: self}, func(i int, paths ...event.Path) {
		t.Helper()
		var drafts []event.Event
		for _, p := range paths {
			*now += 1 << 16
			v := event.Value{Kind: event.Dir, Mode: 0o755}
			drafts = append(drafts, event.Change(p, event.Known{}, v, *now))
		}
		segs, err := event.Seal(key, id, heads[i], nil, drafts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Append(segs...); err != nil {
			t.Fatal(err)
		}
		heads[i] = segs[len(segs)-1].Head()
	}
}

// What a query selects is what one that reads everything would have found,
// whether the segments that cannot matter are passed over or not.
func TestLogQueriesSkipNothingThatMatters(t *testing.T) {
	r, say := openLogs(t)
	say("a/one", "a/two", "b/one")
	for i := range 300 {
		say(event.Path(fmt.Sprintf("many/%04d", i)))
	}
	say("a/one")
	say("ab/one")
	say("b/last")
	all := map[event.Path]int{}
	if err := r.eachLeaf(map[event.Writer]uint64{}, logQuery{}, func(l event.Leaf) { all[l.Event.Path]++ }); err != nil {
		t.Fatal(err)
	}
	if len(all) != 305 || all["a/one"] != 2 {
		t.Fatalf("%d paths, %d events of a/one; want 305 and 2", len(all), all["a/one"])
	}
	for _, under := range []event.Path{"a", "a/one", "ab", "b/last", "many/0299", "nothing", "one"} {
		want := map[event.Path]int{}
		for p, n := range all {
			if p == under || p.Under(under) {
				want[p] = n
			}
		}
		seen, got := map[event.Writer]uint64{}, map[event.Path]int{}
		leaves, err := r.leavesAfter(seen, logQuery{under: under})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leaves {
			got[l.Event.Path]++
		}
		if !maps.Equal(got, want) {
			t.Errorf("under %q: %v, want %v", under, got, want)
		}
		if !slices.IsSortedFunc(leaves, func(a, b event.Leaf) int { return int(a.Event.HLC>>16) - int(b.Event.HLC>>16) }) {
			t.Errorf("under %q: not in the order of time", under)
		}
		say("a/one") // and only what is new comes again
		all["a/one"]++
		if leaves, err = r.leavesAfter(seen, logQuery{}); err != nil || len(leaves) != 1 {
			t.Errorf("under %q: then %d events, %v; want the one that is new", under, len(leaves), err)
		}
	}
}

// A moment selects what is not before it, also where a log goes back in time.
func TestLogQueriesSinceAMoment(t *testing.T) {
	start := event.HLC(1_700_000_000_000 << 16)
	now := start
	r, say := logsAt(t, &now)
	for i := range 400 {
		if i == 250 {
			now -= 100 << 16
		}
		say(i%2, event.Path(fmt.Sprintf("d/%04d", i)), event.Path(fmt.Sprintf("e/%04d", i)))
	}
	var all []event.Leaf
	if err := r.eachLeaf(map[event.Writer]uint64{}, logQuery{}, func(l event.Leaf) { all = append(all, l) }); err != nil || len(all) != 800 {
		t.Fatalf("%d events, %v; want 800", len(all), err)
	}
	for _, ms := range []int{-5, 0, 1, 300, 399, 450, 499, 500, 501, 699, 700, 701, 5000} {
		since := start.Time().Add(time.Duration(ms) * time.Millisecond)
		want := map[event.Path]bool{}
		for _, l := range all {
			if !l.Event.HLC.Time().Before(since) {
				want[l.Event.Path] = true
			}
		}
		got := map[event.Path]bool{}
		if err := r.history(t.Context(), LogRequest{Since: since}, func(c ChangeInfo) error { got[event.Path(c.Path)] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			t.Errorf("since %d ms after the start: %d changes, want %d", ms, len(got), len(want))
		}
	}
}

func BenchmarkLogSince(b *testing.B) {
	now := event.HLC(1_700_000_000_000 << 16)
	r, say := logsAt(b, &now)
	for i := range 20_000 {
		say(i%2, event.Path(fmt.Sprintf("d/%05d", i)))
	}
	for b.Loop() {
		n := 0
		if err := r.history(b.Context(), LogRequest{Since: now.Time()}, func(ChangeInfo) error { n++; return nil }); err != nil || n != 1 {
			b.Fatal(n, err)
		}
	}
}

// The log is told in the order of time and bit by bit, so that a long history
// takes no memory; -n is the end of it.
func TestTheLogIsToldInOrderBitByBit(t *testing.T) {
	t.Parallel()
	r, say := openTwoLogs(t)
	var want []string
	for i := range 2000 {
		p := event.Path(fmt.Sprintf("d/%04d", i))
		want = append(want, string(p))
		say(i/7%2, p)
	}
	read := func(req LogRequest) (got []string) {
		if err := r.history(t.Context(), req, func(c ChangeInfo) error { got = append(got, c.Path); return nil }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, c := range []struct{ last, from int }{{0, 0}, {1, 1999}, {7, 1993}, {1999, 1}, {2000, 0}, {5000, 0}} {
		if got := read(LogRequest{Last: c.last}); !slices.Equal(got, want[c.from:]) {
			t.Errorf("the last %d: %d changes, from %.1v on; want %d", c.last, len(got), got, len(want)-c.from)
		}
	}
	end, read1 := errors.New("enough"), map[event.Writer]uint64{}
	if err := r.eachInTime(read1, logQuery{}, func(event.Leaf) error { return end }); err != end {
		t.Errorf("eachInTime = %v, want the error of who was told", err)
	}
	if n := slices.Max(slices.Collect(maps.Values(read1))); n > 700 {
		t.Errorf("%d of 1000 events of a log were read to tell the first", n)
	}
	if err := r.history(t.Context(), LogRequest{Path: "nothing"}, nil); err == nil || err.(*Error).Exit != exitNotFound {
		t.Errorf("the log of what never was: %v, want exit %d", err, exitNotFound)
	}
	if err := r.history(t.Context(), LogRequest{Path: "d/0001", Since: time.Now()}, nil); err != nil {
		t.Errorf("the log of what did not change since: %v", err)
	}
}

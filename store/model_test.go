package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// world is a store, its model, and members who say things.
type world struct {
	t     *testing.T
	c     *clan
	fs    *vfs.MemFS
	db    *store.DB
	pool  *store.Pool
	model *model
	said  [][]event.Segment // by author
	inode int
}

var places = []event.Path{"a", "a/b", "a/b/c", "a/b/d", "a/x", "d", "d/e", "d/e/f/g", "z"}

func anyPath(r *rapid.T) event.Path { return rapid.SampledFrom(places).Draw(r, "path") }

func anyValue(r *rapid.T) event.Value {
	mode := rapid.SampledFrom([]uint16{0o600, 0o644, 0o755}).Draw(r, "mode")
	switch rapid.IntRange(0, 4).Draw(r, "kind") {
	case 0:
		return event.Value{}
	case 1:
		return event.Value{Kind: event.Dir, Mode: mode}
	case 2:
		return event.Value{Kind: event.Link, Target: rapid.SampledFrom([]string{"x", "../y"}).Draw(r, "target"), Mode: event.LinkMode}
	default:
		v := file(fmt.Sprint(rapid.IntRange(0, 3).Draw(r, "text")))
		v.Mode = mode
		return v
	}
}

// draft is something that an author might say who had seen all, nothing, or what lies in the index.
func (w *world) draft(r *rapid.T) event.Event {
	p := anyPath(r)
	var k event.Known
	switch rapid.IntRange(0, 2).Draw(r, "sight") {
	case 0:
		k = w.model.view(p).Known()
	case 1:
		k = w.model.index[p].Known
	}
	return event.Change(p, k, anyValue(r), w.c.now())
}

func (w *world) say(r *rapid.T, i int) []event.Segment {
	var drafts []event.Event
	for range rapid.IntRange(1, 3).Draw(r, "events") {
		drafts = append(drafts, w.draft(r))
	}
	return w.c.authors[i].say(w.t, drafts...)
}

func (w *world) author(r *rapid.T) int {
	return rapid.IntRange(1, len(w.c.authors)-1).Draw(r, "author")
}

func (w *world) write(r *rapid.T) {
	i := w.author(r)
	w.said[i] = append(w.said[i], w.say(r, i)...)
}

// deliver appends any segment that was ever said: the next, one again, or one too early.
func (w *world) deliver(r *rapid.T) {
	i := w.author(r)
	if len(w.said[i]) == 0 {
		r.Skip("nothing said")
	}
	s := rapid.SampledFrom(w.said[i]).Draw(r, "segment")
	w.deliverOne(r, s)
}

func (w *world) next(r *rapid.T) {
	i := w.author(r)
	for _, s := range w.said[i] {
		if s.First == w.model.heads[s.Writer]+1 {
			w.deliverOne(r, s)
			return
		}
	}
	r.Skip("nothing new")
}

func (w *world) deliverOne(r *rapid.T, s event.Segment) {
	have := w.model.heads[s.Writer]
	res, err := w.pool.Append(s)
	var gap store.ErrGap
	switch {
	case s.First > have+1:
		if !errors.As(err, &gap) || gap.Have != have {
			r.Fatalf("Append of seq %d behind %d: %v, want ErrGap", s.First, have, err)
		}
	case err != nil:
		r.Fatalf("Append: %v", err)
	case s.First <= have:
		if res.New != 0 || len(res.Paths) != 0 {
			r.Fatalf("Append of a known segment = %+v, want nothing", res)
		}
	default:
		if res.New != len(s.Leaves) {
			r.Fatalf("Append = %d new, want %d", res.New, len(s.Leaves))
		}
		w.model.append(s)
	}
}

// row is a row for the index: what the tree wants, or whatever a scan may have found.
func (w *world) row(r *rapid.T, p event.Path) store.Have {
	w.inode++
	if v := w.model.view(p); !v.Value.Live() && rapid.Bool().Draw(r, "clear") {
		return store.Have{Known: v.Known()}
	}
	if rapid.Bool().Draw(r, "apply") {
		h := have(w.inode, w.model.view(p).Value)
		h.Known = w.model.view(p).Known()
		return h
	}
	h := have(w.inode, anyValue(r))
	h.Racy = rapid.Bool().Draw(r, "racy")
	return h
}

// commit is one step of the node itself, the first author.
func (w *world) commit(r *rapid.T) {
	tx := store.Tx{Put: map[event.Path]store.Have{}}
	if rapid.Bool().Draw(r, "events") {
		tx.Segments = w.say(r, 0)
	}
	for range rapid.IntRange(0, 3).Draw(r, "rows") {
		p := anyPath(r)
		if rapid.IntRange(0, 5).Draw(r, "forget") == 0 {
			tx.Forget = append(tx.Forget, p)
		} else {
			tx.Put[p] = w.row(r, p)
		}
	}
	if _, err := w.pool.Commit(tx); err != nil {
		r.Fatalf("Commit: %v", err)
	}
	for _, s := range tx.Segments {
		w.model.append(s)
	}
	for _, p := range tx.Forget {
		delete(w.model.index, p)
	}
	maps.Copy(w.model.index, tx.Put)
}

// restart closes the store, or loses its power: what was not synced is then lost or not.
func (w *world) restart(r *rapid.T) {
	if rapid.Bool().Draw(r, "power") {
		seed := rapid.Uint64().Draw(r, "seed")
		clone := w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: newRand(seed)})
		_ = w.db.Close() // of a file system that nobody looks at any more
		w.fs = clone
	} else if err := w.db.Close(); err != nil {
		r.Fatalf("Close: %v", err)
	}
	w.db = open(w.t, w.fs, "state")
	var err error
	if w.pool, err = w.db.Pool(w.c.id); err != nil {
		r.Fatalf("Pool: %v", err)
	}
}

func (w *world) check(r *rapid.T) {
	w.model.settle()
	w.model.wake()
	w.checkViews(r)
	w.checkIndex(r)
	if diff := cmp.Diff(w.model.stats(), w.pool.Stats(), cmp.Comparer(func(a, b event.Sum) bool { return a == b })); diff != "" {
		r.Fatalf("Stats (-want +got):\n%s", diff)
	}
	w.checkNeeds(r)
	w.checkSet(r)
	for wr, seq := range w.model.heads {
		if h, _ := w.pool.Head(wr); h.Seq != seq {
			r.Fatalf("Head(%v) = %d, want %d", wr, h.Seq, seq)
		}
	}
	faults, err := w.pool.Verify(false)
	if err != nil || len(faults) > 0 {
		r.Fatalf("Verify = %v, %v", faults, err)
	}
}

// checkSome compares what is yielded of a choice of paths with all.
func (w *world) checkSome(r *rapid.T, all map[event.Path]event.View) {
	chosen := func(p event.Path) bool { return len(p)%2 == 0 }
	some := map[event.Path]event.View{}
	if err := w.pool.TreeWhere(chosen, func(p event.Path, v event.View) bool { some[p] = v; return true }); err != nil {
		r.Fatalf("TreeWhere: %v", err)
	}
	maps.DeleteFunc(all, func(p event.Path, _ event.View) bool { return !chosen(p) })
	if diff := cmp.Diff(all, some, sameBytes); diff != "" {
		r.Fatalf("TreeWhere (-want +got):\n%s", diff)
	}
}

func (w *world) checkViews(r *rapid.T) {
	got := map[event.Path]event.View{}
	err := w.pool.Tree(func(p event.Path, v event.View) bool { got[p] = v; return true })
	if err != nil {
		r.Fatalf("Tree: %v", err)
	}
	w.checkSome(r, maps.Clone(got))
	var unsettled []event.Path
	for _, p := range w.model.paths() {
		want := w.model.view(p)
		if _, said := w.model.states[p]; !said && !want.Value.Live() {
			continue
		}
		if diff := cmp.Diff(want, got[p], sameBytes); diff != "" && !w.model.gone[p] {
			r.Fatalf("view of %s (-want +got):\n%s", p, diff)
		}
		delete(got, p)
		w.checkOne(r, p, want)
		if want.Implied || len(want.Losers) > 0 {
			unsettled = append(unsettled, p)
		}
	}
	if len(got) != 0 {
		r.Fatalf("Tree knows also %v", got)
	}
	now := slices.Sorted(slices.Values(w.pool.Unsettled()))
	if !slices.Equal(now, unsettled) {
		r.Fatalf("Unsettled = %v, want %v", now, unsettled)
	}
}

// checkOne asks for p alone: what was collected is told as if it were not.
func (w *world) checkOne(r *rapid.T, p event.Path, want event.View) {
	got, err := w.pool.View(p)
	if diff := cmp.Diff(want, got, sameBytes); err != nil || diff != "" {
		r.Fatalf("View(%s): %v (-want +got):\n%s", p, err, diff)
	}
	s, err := w.pool.State(p)
	if err != nil || !bytes.Equal(s.Encode(), w.model.states[p].Encode()) {
		r.Fatalf("State(%s) = %+v, %v, want %+v", p, s, err, w.model.states[p])
	}
}

// collect collects what is older than some moment, all members having all that is here.
func (w *world) collect(r *rapid.T) {
	before := w.c.now()
	if rapid.Bool().Draw(r, "some") {
		before -= event.HLC(rapid.Uint64Range(0, 20).Draw(r, "younger")) << 16
	}
	known := event.Vector{}
	for wr, seq := range w.model.heads {
		known[wr] = seq
	}
	if _, _, err := w.pool.Collect(context.Background(), store.Ripe{Before: before, Known: known}); err != nil {
		r.Fatalf("Collect: %v", err)
	}
	w.model.collect(before)
}

// sameBytes takes an empty slice or map for a nil one.
var sameBytes = cmp.Options{
	cmp.Comparer(func(a, b event.Vector) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b event.Leaf) bool { return a.Hash == b.Hash && a.Dot == b.Dot }),
	cmp.Comparer(func(a, b event.Value) bool { return a.Same(b) && len(a.Chunks) == len(b.Chunks) }),
}

func (w *world) checkIndex(r *rapid.T) {
	for _, p := range places {
		want, has := w.model.index[p]
		got, ok, err := w.pool.Have(p)
		if err != nil || ok != has {
			r.Fatalf("Have(%s) = %v, %v, want %v", p, ok, err, has)
		}
		if len(got.Known.Prev) == 0 && len(want.Known.Prev) == 0 {
			got.Known.Prev, want.Known.Prev = nil, nil
		}
		if diff := cmp.Diff(want, got, sameBytes); diff != "" {
			r.Fatalf("Have(%s) (-want +got):\n%s", p, diff)
		}
		w.checkPlaces(r, p, got)
	}
}

func (w *world) checkPlaces(r *rapid.T, p event.Path, h store.Have) {
	v := h.Known.Value
	if v.Kind != event.File {
		return
	}
	files, err := w.pool.FilesWith(v.Root, 100)
	if err != nil || !slices.Contains(files, p) {
		r.Fatalf("FilesWith(%v) = %v, %v, want %s among them", v.Root, files, err, p)
	}
	at, err := w.pool.Places(v.Chunks[0].ID, 100)
	if err != nil || !slices.Contains(at, store.Place{Path: p, Size: int(v.Chunks[0].Size), Root: v.Root}) {
		r.Fatalf("Places = %v, %v, want one in %s", at, err, p)
	}
}

func (w *world) checkNeeds(r *rapid.T) {
	want, files, bytes := w.model.needs(), int64(0), int64(0)
	for _, n := range w.pool.Needs("", math.MaxInt) {
		size, ok := want[n.Path]
		if !ok || n.Bytes != size {
			r.Fatalf("need %+v, want %d (%v)", n, size, ok)
		}
		delete(want, n.Path)
		if n.Reason != store.Ignored {
			files, bytes = files+1, bytes+n.Bytes
		}
	}
	if len(want) != 0 {
		r.Fatalf("Needs lack %v", want)
	}
	if f, b := w.pool.NeedTotal(); f != files || b != bytes {
		r.Fatalf("NeedTotal = %d, %d, want %d, %d", f, b, files, bytes)
	}
}

func (w *world) reason(r *rapid.T) {
	p := anyPath(r)
	why := rapid.SampledFrom([]string{"", "blocked", store.Ignored}).Draw(r, "reason")
	if err := w.pool.SetReason(p, why, "because"); err != nil {
		r.Fatalf("SetReason: %v", err)
	}
	n, ok, err := w.pool.NeedAt(p)
	if err != nil || ok && n.Reason != why {
		r.Fatalf("NeedAt = %+v, %v, want reason %q", n, err, why)
	}
	if rapid.Bool().Draw(r, "clear") {
		if err := w.pool.ClearReasons("blocked"); err != nil {
			r.Fatalf("ClearReasons: %v", err)
		}
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// TestStoreIsItsModel lets members write, segments arrive in many orders, rows come and go and the power fail, and
// demands after each step that the store says what a naive fold of the same facts says.
func TestStoreIsItsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := &world{t: t, c: newClan(t, 3), fs: vfs.NewCrashableMem(), model: newModel(), said: make([][]event.Segment, 3)}
		w.db = open(t, w.fs, "state")
		defer func() { _ = w.db.Close() }() // the test is over
		w.pool = enter(t, w.db, w.c)
		r.Repeat(map[string]func(*rapid.T){
			"write": w.write, "deliver": w.deliver, "next": w.next, "commit": w.commit,
			"reason": w.reason, "restart": w.restart, "collect": w.collect, "": w.check,
		})
	})
}

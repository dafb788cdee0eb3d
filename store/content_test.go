package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/google/go-cmp/cmp"
)

func put(t *testing.T, p *store.Pool, tx store.Tx) {
	t.Helper()
	must[store.Result](t)(p.Commit(tx))
}

func row(path event.Path, v event.Value) map[event.Path]store.Have {
	return map[event.Path]store.Have{path: have(1, v)}
}

func placesOf(t *testing.T, p *store.Pool, id chunker.ID) []string {
	t.Helper()
	var got []string
	for _, at := range must[[]store.Place](t)(p.Places(id, 100)) {
		got = append(got, fmt.Sprintf("%s+%d:%d %v", at.Path, at.Offset, at.Size, at.Version))
	}
	return got
}

func noFaults(t *testing.T, p *store.Pool) {
	t.Helper()
	if faults := must[[]store.Fault](t)(p.Verify(false)); len(faults) > 0 {
		t.Errorf("Verify = %v", faults)
	}
}

func TestPlacesFollowTheFiles(t *testing.T) {
	for _, chunks := range []int{3, 20, 9000} { // listed in the event, one block, two pages
		t.Run(fmt.Sprint(chunks), func(t *testing.T) {
			p := openClan(t, newClan(t, 1))
			m := manifest("m", chunks)
			v, second := value(m), m.Chunks[1]
			at := func(path string, version bool) string {
				return fmt.Sprintf("%s+%d:%d %v", path, m.Chunks[0].Size, second.Size, version)
			}
			check := func(when string, want ...string) {
				t.Helper()
				if got := placesOf(t, p, second.ID); !slices.Equal(got, want) {
					t.Errorf("%s: Places = %v, want %v", when, got, want)
				}
				got, ok, err := p.Manifest(m.Root())
				if copies := must[[]store.Place](t)(p.Copies(m.Root(), 9)); len(copies) != len(want) {
					t.Errorf("%s: Copies = %v, want as many as places", when, copies)
				} else if all := must[[][]store.Place](t)(p.CopiesOf([]chunker.ID{{1}, m.Root(), {2}}, 9)); !cmp.Equal(all, [][]store.Place{nil, copies, nil}) {
					t.Errorf("%s: CopiesOf = %v, want %v between two of nothing", when, all, copies)
				}
				if err != nil || ok != (len(want) > 0) || ok && !cmp.Equal(got, m) {
					t.Errorf("%s: Manifest is known: %v (%v), want %v", when, ok, err, len(want) > 0)
				}
				noFaults(t, p)
			}
			put(t, p, store.Tx{Put: row("a", v), Manifests: []chunker.Manifest{m}})
			check("put", at("a", false))
			put(t, p, store.Tx{Put: row("b", v)})
			check("copied", at("a", false), at("b", false))
			put(t, p, store.Tx{Forget: []event.Path{"a"}, Put: row("c", v)})
			check("renamed", at("b", false), at("c", false))
			put(t, p, store.Tx{Put: row("b", file("other")), AddVersions: []store.Version{{Path: "b~1", Root: m.Root()}}})
			check("replaced", at("c", false), at("b~1", true))
			put(t, p, store.Tx{Put: row("c", event.Value{})})
			check("deleted", at("b~1", true))
			put(t, p, store.Tx{DropVersions: []store.Version{{Path: "b~1", Root: m.Root()}}})
			check("pruned")
			for _, b := range m.Blocks() {
				if _, ok, err := p.Block(chunker.Sum(b)); ok || err != nil {
					t.Errorf("a block is left behind (%v)", err)
				}
			}
		})
	}
}

func TestReplacedAndPutBackIsStillThere(t *testing.T) {
	p := openClan(t, newClan(t, 1))
	m := manifest("m", 20)
	put(t, p, store.Tx{Put: row("a", value(m)), Manifests: []chunker.Manifest{m}})
	put(t, p, store.Tx{Put: row("b", value(m)), Forget: []event.Path{"a"}})
	if got := must[[]event.Path](t)(p.FilesWith(m.Root(), 10)); !slices.Equal(got, []event.Path{"b"}) {
		t.Errorf("FilesWith = %v, want b", got)
	}
	for _, b := range m.Blocks() {
		if got, ok, err := p.Block(chunker.Sum(b)); !ok || err != nil || !bytes.Equal(got, b) {
			t.Errorf("Block is known: %v (%v), want it", ok, err)
		}
	}
	if got := must[[]event.Path](t)(p.FilesWith(m.Root(), 0)); len(got) != 0 {
		t.Errorf("FilesWith(0) = %v", got)
	}
}

// TestShortFileThatItsAuthorDidNotList: the list that a scan found must not be lost to an event that has none.
func TestShortFileThatItsAuthorDidNotList(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	m := manifest("m", 3)
	bare := value(m)
	bare.Chunks = nil
	say := func(v event.Value) {
		must[store.Result](t)(p.Append(c.authors[1].say(t, event.Change("f", event.Known{}, v, c.now()))...))
	}
	say(value(m))
	put(t, p, store.Tx{Put: row("f", value(m))})
	say(bare)
	put(t, p, store.Tx{Put: row("g", value(m))})
	put(t, p, store.Tx{Forget: []event.Path{"g"}})
	if got, ok, err := p.Manifest(m.Root()); err != nil || !ok || !cmp.Equal(got, m) {
		t.Errorf("Manifest = %v, %v, want it", ok, err)
	}
	noFaults(t, p)
	put(t, p, store.Tx{Put: row("f", event.Value{})})
	if got := placesOf(t, p, m.Chunks[0].ID); len(got) != 0 {
		t.Errorf("Places = %v, want none", got)
	}
	put(t, p, store.Tx{Put: row("f", value(m))})
	if got := placesOf(t, p, m.Chunks[0].ID); len(got) != 1 {
		t.Errorf("Places = %v, want one", got)
	}
	noFaults(t, p)
}

func TestBadPathsAreRefused(t *testing.T) {
	p := openClan(t, newClan(t, 1))
	for _, path := range []event.Path{"", "a//b", "a\x00b", "/a", ".meerkat/x"} {
		_, err := p.Commit(store.Tx{Put: row(path, file("x"))})
		if err == nil || p.Begin([]store.Intent{{Path: path}}) == nil {
			t.Errorf("path %q was taken", path)
		}
	}
	noFaults(t, p)
}

func TestCommitTriedAgain(t *testing.T) {
	c := newClan(t, 1)
	p := openClan(t, c)
	tx := store.Tx{Segments: c.authors[0].say(t, one(c, "x", "x")), Put: row("x", file("x"))}
	put(t, p, tx)
	if res := must[store.Result](t)(p.Commit(tx)); res.New != 0 {
		t.Errorf("Commit again = %+v, want nothing new", res)
	}
}

func TestBlockOfAListedFile(t *testing.T) {
	p := openClan(t, newClan(t, 1))
	m := manifest("m", 2)
	put(t, p, store.Tx{Put: row("a", value(m))})
	if got, ok, err := p.Block(m.Root()); !ok || err != nil || !bytes.Equal(got, m.Blocks()[0]) {
		t.Errorf("Block is known: %v (%v), want it, made of the list", ok, err)
	}
}

func TestFileWithoutManifestIsRefused(t *testing.T) {
	p := openClan(t, newClan(t, 1))
	v := value(manifest("m", 20))
	if _, err := p.Commit(store.Tx{Put: row("a", v)}); !errors.Is(err, store.ErrNoManifest) {
		t.Errorf("Commit = %v, want ErrNoManifest", err)
	}
	if _, ok, err := p.Have("a"); ok || err != nil {
		t.Errorf("Have = %v, %v after a refused commit", ok, err)
	}
	put(t, p, store.Tx{AddVersions: []store.Version{{Path: "a~1", Root: v.Root}}}) // kept, but of no use to others
	noFaults(t, p)
}

func TestFetchedManifestLivesAsLongAsItIsWanted(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	b := c.authors[1]
	m, next := manifest("m", 20), manifest("next", 20)
	must[store.Result](t)(p.Append(b.say(t, event.Change("f", event.Known{}, value(m), c.now()))...))
	if err := p.PutManifest(m); err != nil {
		t.Fatal(err)
	}
	known := func(m chunker.Manifest) bool {
		got, ok, err := p.Manifest(m.Root())
		if err != nil || ok && !cmp.Equal(got, m) {
			t.Errorf("Manifest = %v, %v", ok, err)
		}
		return ok
	}
	if !known(m) || len(placesOf(t, p, m.Chunks[0].ID)) != 0 {
		t.Error("a fetched manifest is to be known, and to say of no chunk that it is here")
	}
	view := must[event.View](t)(p.View("f"))
	must[store.Result](t)(p.Append(b.say(t, event.Change("f", view.Known(), value(next), c.now()))...))
	if known(m) {
		t.Error("the manifest of what nobody wants any more is still here")
	}
	if err := p.PutManifest(next); err != nil {
		t.Fatal(err)
	}
	put(t, p, store.Tx{Put: row("f", value(next))}) // the manifest is known already
	if len(placesOf(t, p, next.Chunks[0].ID)) != 1 || len(p.Needs("", 9)) != 0 {
		t.Errorf("applied: places %v, needs %v", placesOf(t, p, next.Chunks[0].ID), p.Needs("", 9))
	}
	put(t, p, store.Tx{Put: row("f", event.Value{})})
	if known(next) {
		t.Error("the manifest of a file that is gone is still here")
	}
	noFaults(t, p)
}

// What is being applied may be wanted no more when it stands on the disk, and the index has to follow all the same:
// a file that it does not know of would be taken for an edit.
func TestAppliedFileIsFollowedThoughAnotherIsWanted(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	b := c.authors[1]
	m, next := manifest("m", 20), manifest("next", 2)
	must[store.Result](t)(p.Append(b.say(t, event.Change("f", event.Known{}, value(m), c.now()))...))
	if err := p.PutManifest(m); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second takes the place of the first
		if err := p.Begin([]store.Intent{{Path: "f", New: value(m)}}); err != nil {
			t.Fatal(err)
		}
	}
	view := must[event.View](t)(p.View("f"))
	must[store.Result](t)(p.Append(b.say(t, event.Change("f", view.Known(), value(next), c.now()))...))
	noFaults(t, p)
	put(t, p, store.Tx{Put: row("f", value(m)), Close: []event.Path{"f"}})
	if len(placesOf(t, p, m.Chunks[0].ID)) != 1 {
		t.Errorf("places %v, want one", placesOf(t, p, m.Chunks[0].ID))
	}
	put(t, p, store.Tx{Put: row("f", value(next))})
	if _, ok, err := p.Manifest(m.Root()); ok || err != nil {
		t.Errorf("Manifest = %v, %v, want none: its file is gone and its intent closed", ok, err)
	}
	noFaults(t, p)
}

func TestChunkTwiceInAFile(t *testing.T) {
	p := openClan(t, newClan(t, 1))
	m := manifest("m", 3)
	m.Chunks[2] = m.Chunks[0]
	m.Size = int64(m.Chunks[0].Size)*2 + int64(m.Chunks[1].Size)
	put(t, p, store.Tx{Put: row("a", value(m))})
	if got := placesOf(t, p, m.Chunks[0].ID); len(got) != 1 {
		t.Errorf("Places = %v, want one of the two", got)
	}
	noFaults(t, p)
}

func TestIntentsStayOpenUntilClosed(t *testing.T) {
	p := openClan(t, newClan(t, 1))
	want := []store.Intent{
		{Path: "a", Old: file("1"), New: file("2"), OldStat: stat(1, file("1"))},
		{Path: "d/link", Old: dirValue, New: event.Value{Kind: event.Link, Target: "x", Mode: event.LinkMode}},
		{Path: "d/z", New: value(manifest("m", 20))},
	}
	if err := p.Begin(want); !errors.Is(err, store.ErrNoManifest) {
		t.Fatalf("Begin = %v, want ErrNoManifest: the index could not follow", err)
	}
	if err := p.Begin(want, manifest("m", 20)); err != nil {
		t.Fatal(err)
	}
	if got := must[[]store.Intent](t)(p.Intents()); !cmp.Equal(got, want) {
		t.Errorf("Intents (-want +got):\n%s", cmp.Diff(want, got))
	}
	put(t, p, store.Tx{Close: []event.Path{"a", "d/z", "never opened"}})
	if got := must[[]store.Intent](t)(p.Intents()); !cmp.Equal(got, want[1:2]) {
		t.Errorf("Intents after Close = %v, want the one of d/link", got)
	}
}

func TestHaveDirListsChildrenOnly(t *testing.T) {
	p := openClan(t, newClan(t, 1))
	rows := map[event.Path]store.Have{}
	for _, path := range []event.Path{"a", "a b", "a/1", "a/2", "a/2/3", "a!", "a/é", "a\x01", "b"} {
		rows[path] = have(1, file(string(path)))
	}
	rows["a/gone"] = store.Have{}
	put(t, p, store.Tx{Put: rows})
	list := func(dir event.Path) (names []string) {
		err := p.HaveDir(dir, func(name string, h store.Have) bool {
			want := rows[dir.Join(name)]
			if h.Stat != want.Stat || !h.Known.Value.Same(want.Known.Value) || h.Known.Value.Size != want.Known.Value.Size {
				t.Errorf("HaveDir(%q) of %q = %+v, want %+v", dir, name, h, want)
			}
			names = append(names, name)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := list("a"); !slices.Equal(got, []string{"1", "2", "gone", "é"}) {
		t.Errorf("HaveDir(a) = %q", got)
	}
	if got := list(""); !slices.Equal(got, []string{"a", "a\x01", "a b", "a!", "b"}) {
		t.Errorf("HaveDir() = %q", got)
	}
	if got := list("none"); len(got) != 0 {
		t.Errorf("HaveDir(none) = %q", got)
	}
	all := 0
	if err := p.Index(func(path event.Path, h store.Have) bool { all++; return h.Stat == rows[path].Stat }); err != nil || all != len(rows) {
		t.Errorf("Index gave %d rows (%v), want %d", all, err, len(rows))
	}
}

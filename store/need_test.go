package store_test

import (
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// say lets b say what stands at path, having seen all, and takes it in.
func hear(t *testing.T, c *clan, p *store.Pool, path event.Path, v event.Value) {
	t.Helper()
	view := must[event.View](t)(p.View(path))
	must[store.Result](t)(p.Append(c.authors[1].say(t, event.Change(path, view.Known(), v, c.now()))...))
}

func reasonOf(t *testing.T, p *store.Pool, path event.Path) string {
	t.Helper()
	n, ok, err := p.NeedAt(path)
	if err != nil || !ok {
		t.Fatalf("NeedAt(%s) = %v, %v, want a need", path, ok, err)
	}
	return n.Reason
}

func TestReasonsGoWithWhatTheyWereAbout(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	for _, path := range []event.Path{"full", "ignored"} {
		hear(t, c, p, path, file("1"))
	}
	size := file("1").Size
	for path, why := range map[event.Path]string{"full": "disk_full", "ignored": store.Ignored} {
		if err := p.SetReason(path, why, "m"); err != nil {
			t.Fatal(err)
		}
	}
	if files, bytes := p.NeedTotal(); files != 1 || bytes != size {
		t.Errorf("NeedTotal = %d, %d, want all but the ignored", files, bytes)
	}
	put(t, p, store.Tx{Put: row("full", event.Value{})}) // the disk is looked at again: the same is wanted
	if got := reasonOf(t, p, "full"); got != "disk_full" {
		t.Errorf("reason = %q, want it kept while the same value is wanted", got)
	}
	hear(t, c, p, "full", file("2"))
	hear(t, c, p, "ignored", file("2"))
	if got := reasonOf(t, p, "full"); got != "" {
		t.Errorf("reason = %q, want none for a new value", got)
	}
	if got := reasonOf(t, p, "ignored"); got != store.Ignored {
		t.Errorf("reason = %q, want it ignored still", got)
	}
	if err := p.ClearReasons(store.Ignored); err != nil {
		t.Fatal(err)
	}
	if files, _ := p.NeedTotal(); files != 2 {
		t.Errorf("NeedTotal = %d, want 2", files)
	}
	noFaults(t, p)
}

func TestDeletionIsNeededUntilTheDiskIsKnownToBeClear(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	hear(t, c, p, "f", file("1"))
	hear(t, c, p, "f", event.Value{})
	needs := p.Needs("", 9)
	if len(needs) != 1 || needs[0].Bytes != 0 {
		t.Fatalf("Needs = %+v, want f with no bytes", needs)
	}
	put(t, p, store.Tx{Put: row("f", event.Value{})})
	if needs := p.Needs("", 9); len(needs) != 0 {
		t.Errorf("Needs = %+v, want none", needs)
	}
	h, _, err := p.Have("f")
	view := must[event.View](t)(p.View("f"))
	if err != nil || !h.Known.Base.Equal(view.Base) || h.Known.Value.Mode != 0o644 {
		t.Errorf("Have = %+v (%v), want the tombstone that the tree has", h.Known, err)
	}
}

func TestBaseStaysWhereTheValueMovedOn(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	hear(t, c, p, "f", file("1"))
	put(t, p, store.Tx{Put: row("f", file("1"))})
	seen := must[event.View](t)(p.View("f"))
	hear(t, c, p, "f", file("2"))
	h, _, err := p.Have("f")
	if err != nil || !h.Known.Base.Equal(seen.Base) || h.Known.CDot != seen.CDot || !h.Known.Value.Same(file("1")) {
		t.Errorf("Have = %+v (%v), want still what was applied, on base %v", h.Known, err, seen.Base)
	}
	if len(h.Known.Value.Chunks) != 1 {
		t.Errorf("the list of chunks went with the view")
	}
}

func TestNeedsPage(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	want := []event.Path{"a", "b", "a/1", "a/2", "b/1"}
	for _, path := range want {
		hear(t, c, p, path, file(string(path)))
	}
	var got []event.Path
	for at := event.Path(""); ; {
		page := p.Needs(at, 2)
		if len(page) == 0 {
			break
		}
		for _, n := range page {
			got = append(got, n.Path)
		}
		at = got[len(got)-1]
	}
	if len(got) != len(want) {
		t.Errorf("Needs in pages = %v, want each of %v once", got, want)
	}
	seen := map[event.Path]bool{}
	for _, path := range got {
		if dir := path.Dir(); dir != "" && !seen[dir] {
			t.Errorf("%s stands before its directory", path)
		}
		seen[path] = true
	}
}

// TestNeedsAskedAgain: what is remembered of the first needs is never less, nor older, than what a reader has asked for.
func TestNeedsAskedAgain(t *testing.T) {
	c := newClan(t, 2)
	p := openClan(t, c)
	for _, path := range []event.Path{"a", "b", "c"} {
		hear(t, c, p, path, file(string(path)))
	}
	for _, max := range []int{2, 1, 3, 9, 2} {
		if got := p.Needs("", max); len(got) != min(max, 3) {
			t.Errorf("Needs of at most %d = %v", max, got)
		}
	}
	must[store.Result](t)(p.Commit(store.Tx{Put: map[event.Path]store.Have{"a": have(1, file("a"))}}))
	if got := p.Needs("", 9); len(got) != 2 || got[0].Path != "b" {
		t.Errorf("Needs after a change = %v, want b and c", got)
	}
	if err := p.SetReason("b", "why", "because"); err != nil {
		t.Fatal(err)
	}
	if got := p.Needs("", 1); len(got) != 1 || got[0].Reason != "why" {
		t.Errorf("Needs after a reason = %v", got)
	}
}

package store_test

import (
	"fmt"
	"testing"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/google/go-cmp/cmp"
)

// mixed is a pool with some of everything.
func mixed(t *testing.T) (*clan, *store.Pool) {
	t.Helper()
	c := newClan(t, 2)
	p := openClan(t, c)
	drafts, puts := forest(c, 12)
	m := manifest("long", 20)
	drafts = append(drafts, event.Change("long", event.Known{}, value(m), c.now()))
	puts["long"] = have(99, value(m))
	put(t, p, store.Tx{Segments: c.authors[0].say(t, drafts...), Put: puts, Manifests: []chunker.Manifest{m}})
	hear(t, c, p, "dir000/file00001.txt", file("changed"))
	hear(t, c, p, "dir000/file00002.txt", event.Value{})
	hear(t, c, p, "implied/by/this", file("new"))
	must[store.Result](t)(p.Append(c.authors[1].say(t, one(c, "long", "a rival"))...))
	if err := p.SetReason("implied/by/this", "blocked", "m"); err != nil {
		t.Fatal(err)
	}
	return c, p
}

func mend(t *testing.T, p *store.Pool, what string) {
	t.Helper()
	faults := must[[]store.Fault](t)(p.Verify(false))
	if len(faults) == 0 {
		t.Errorf("%s: Verify found nothing", what)
	}
	must[[]store.Fault](t)(p.Verify(true))
	if faults := must[[]store.Fault](t)(p.Verify(false)); len(faults) > 0 {
		t.Errorf("%s: Verify after the repair = %v", what, faults)
	}
}

// followed are tables whose rows all follow from other tables; the tree's do where a path has no events.
const followed = "duqcma"

// TestVerifyRestoresWhatFollows deletes each row that others say again, and demands it back as it was.
func TestVerifyRestoresWhatFollows(t *testing.T) {
	_, p := mixed(t)
	noFaults(t, p)
	whole := must[map[string]string](t)(p.Dump())
	var keys []string
	for _, table := range []byte(followed) {
		keys = append(keys, must[[]string](t)(p.Rows(table))...)
	}
	keys = append(keys, p.KeyOf('t', "implied"), p.KeyOf('t', "implied/by"))
	for _, key := range keys {
		if err := p.Break(key, nil); err != nil {
			t.Fatal(err)
		}
		mend(t, p, fmt.Sprintf("without %q", key))
	}
	got := must[map[string]string](t)(p.Dump())
	reason := p.KeyOf('d', "implied/by/this") // only people know it
	delete(whole, reason)
	delete(got, reason)
	if diff := cmp.Diff(whole, got); diff != "" {
		t.Errorf("rows after the repair (-want +got):\n%s", diff)
	}
}

func TestVerifyRemovesStrays(t *testing.T) {
	_, p := mixed(t)
	whole := must[map[string]string](t)(p.Dump())
	for _, table := range []byte("duma") {
		if err := p.Break(p.KeyOf(table, "no/such"), []byte{0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		mend(t, p, "a stray in "+string(table))
	}
	for _, table := range []byte("qcb") {
		key := []byte(must[[]string](t)(p.Rows(table))[0])
		for i := 6; i < len(key); i++ {
			key[i] ^= 0xff // of content that nobody has
		}
		if table == 'q' {
			key[6+32] = 0 // a file's
		}
		if err := p.Break(string(key), []byte{}); err != nil {
			t.Fatal(err)
		}
		mend(t, p, "a stray in "+string(table))
	}
	if diff := cmp.Diff(whole, must[map[string]string](t)(p.Dump())); diff != "" {
		t.Errorf("rows after the repair (-want +got):\n%s", diff)
	}
}

func TestVerifyCountsAnew(t *testing.T) {
	_, p := mixed(t)
	want := p.Stats()
	p.BreakSums()
	mend(t, p, "wrong sums")
	if got := p.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestVerifyFollowsTheLogs(t *testing.T) {
	_, p := mixed(t)
	key := must[[]string](t)(p.Rows('l'))[0]
	if err := p.Break(key, nil); err != nil {
		t.Fatal(err)
	}
	if faults := must[[]store.Fault](t)(p.Verify(false)); len(faults) == 0 {
		t.Error("Verify did not miss a segment")
	}
}

// TestVerifyForgetsWhatCannotBeServed: a file whose list of chunks is lost is to be found anew by a scan.
func TestVerifyForgetsWhatCannotBeServed(t *testing.T) {
	_, p := mixed(t)
	for _, key := range must[[]string](t)(p.Rows('b')) {
		if err := p.Break(key, nil); err != nil {
			t.Fatal(err)
		}
	}
	mend(t, p, "no manifest")
	if _, ok, err := p.Have("long"); ok || err != nil {
		t.Errorf("Have = %v, %v, want no row", ok, err)
	}
}

// TestVerifyTakesTheBaseFromAFalseClaim: a row that says to follow the tree, but has another value, keeps its value and
// claims to have seen nothing.
func TestVerifyTakesTheBaseFromAFalseClaim(t *testing.T) {
	_, p := mixed(t)
	rows := must[map[string]string](t)(p.Dump())
	from, to := p.KeyOf('i', "dir000"), p.KeyOf('i', "dir000/file00004.txt")
	if err := p.Break(to, []byte(rows[from])); err != nil {
		t.Fatal(err)
	}
	mend(t, p, "a false claim")
	h, ok, err := p.Have("dir000/file00004.txt")
	if err != nil || !ok || len(h.Known.Base) != 0 || h.Known.Value.Kind != event.Dir {
		t.Errorf("Have = %+v, %v, %v, want its value on no base", h.Known, ok, err)
	}
	if needs := p.Needs("", 99); len(needs) == 0 {
		t.Error("the path is not needed")
	}
}

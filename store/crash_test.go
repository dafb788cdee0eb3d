package store_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestPowerFailsInTheMiddle takes the disk away while commits and appends are under way. What had been acknowledged
// must be there, and all rows must agree with each other.
func TestPowerFailsInTheMiddle(t *testing.T) {
	const seed, rounds = 1, 15
	t.Logf("seed %d", seed)
	rng := newRand(seed)
	c := newClan(t, 3)
	fs := vfs.NewCrashableMem()
	d := open(t, fs, "state")
	p := enter(t, d, c)
	for round := range rounds {
		before := p.Heads()
		var wg sync.WaitGroup
		for i, a := range c.authors {
			wg.Go(func() { busy(t, p, c, i, a, 10*round) })
		}
		for range rng.IntN(2000) {
			runtime.Gosched() // somewhere in the middle of it
		}
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		wg.Wait()
		inspect(t, clone, c, before, fmt.Sprint("round ", round))
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// inspect opens what a crash left.
func inspect(t *testing.T, fs vfs.FS, c *clan, acked []event.Head, when string) {
	t.Helper()
	d := open(t, fs, "state")
	p := must[*store.Pool](t)(d.Pool(c.id))
	for _, want := range acked {
		if h, _ := p.Head(want.Writer); h.Seq < want.Seq {
			t.Errorf("%s: head of %v = %d, but %d was acknowledged", when, want.Writer, h.Seq, want.Seq)
		}
	}
	noFaults(t, p)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// busy lets an author write at a few paths; what the first one writes the index has as well.
func busy(t *testing.T, p *store.Pool, c *clan, i int, a *author, from int) {
	for n := from; n < from+10; n++ {
		path, value := event.Path(fmt.Sprintf("d%d/f%d", n%3, n%7)), file(fmt.Sprint(n))
		if n%5 == 4 {
			value = event.Value{}
		}
		v := must[event.View](t)(p.View(path))
		tx := store.Tx{Segments: a.say(t, event.Change(path, v.Known(), value, c.clock+event.HLC(n)))}
		var err error
		if i == 0 {
			tx.Put = map[event.Path]store.Have{path: have(n+1, value)}
			_, err = p.Commit(tx)
		} else {
			_, err = p.Append(tx.Segments...)
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// TestPowerFailsAfterTheFirstCommit is about a state that was just made: the names of its directories must not be lost
// with what was synced below them.
func TestPowerFailsAfterTheFirstCommit(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := open(t, fs, "/home/of/a/node/state")
	if err := d.Set("fact", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	clone := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	d = open(t, clone, "/home/of/a/node/state")
	if got, ok, err := d.Get("fact"); string(got) != "kept" || err != nil {
		t.Errorf("after the power cut Get = %q, %v, %v, want what was set", got, ok, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

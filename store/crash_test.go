package store_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestPowerFailsInTheMiddle takes the disk away at random moments while commits and appends are under way. What had
// been acknowledged must be there, and all rows must agree with each other.
func TestPowerFailsInTheMiddle(t *testing.T) {
	const seed, rounds = 1, 40
	t.Logf("seed %d", seed)
	rng := newRand(seed)
	c := newClan(t, 3)
	fs := vfs.NewCrashableMem()
	d := open(t, fs, "state")
	p := enter(t, d, c)
	var mu sync.Mutex
	acked := map[event.Writer]uint64{}
	ack := func(h event.Head) {
		mu.Lock()
		defer mu.Unlock()
		acked[h.Writer] = h.Seq
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i, a := range c.authors {
		wg.Go(func() { busy(t, p, c, i, a, ack, stop) })
	}
	for round := range rounds {
		mu.Lock()
		want := maps.Clone(acked)
		mu.Unlock()
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		d := open(t, clone, "state")
		after, err := d.Pool(c.id)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for w, seq := range want {
			if h, _ := after.Head(w); h.Seq < seq {
				t.Errorf("round %d: head of %v = %d, but %d was acknowledged", round, w, h.Seq, seq)
			}
		}
		noFaults(t, after)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// busy lets an author write at a few paths, and the index follow, until stop.
func busy(t *testing.T, p *store.Pool, c *clan, i int, a *author, ack func(event.Head), stop chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		path := event.Path(fmt.Sprintf("d%d/f%d", n%3, n%7))
		v, err := p.View(path)
		if err != nil {
			t.Error(err)
			return
		}
		value := file(fmt.Sprint(n))
		if n%5 == 4 {
			value = event.Value{}
		}
		segs, err := event.Seal(a.key, a.pool, a.head, nil, []event.Event{event.Change(path, v.Known(), value, c.clock+event.HLC(n))})
		if err != nil {
			t.Error(err)
			return
		}
		a.head = segs[0].Head()
		if i == 0 {
			_, err = p.Commit(store.Tx{Segments: segs, Put: map[event.Path]store.Have{path: have(n+1, value)}})
		} else {
			_, err = p.Append(segs...)
		}
		if err != nil {
			t.Error(err)
			return
		}
		ack(a.head)
	}
}

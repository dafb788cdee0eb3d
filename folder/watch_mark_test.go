//go:build linux

package folder_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// TestCatchUpMissesNoChange: what was changed before the call is pending after it, however busy the machine is.
func TestCatchUpMissesNoChange(t *testing.T) {
	g := newGround(t)
	g.write("d/f", "1")
	w := g.watch(folder.WatchConfig{})
	for i := range 500 {
		name := fmt.Sprintf("d/f%d", i)
		g.write(name, "x")
		must(t, w.CatchUp(t.Context()))
		if !w.Pending() {
			t.Fatalf("round %d: nothing is pending right after a change", i)
		}
		g.until(w, at(event.Path(name)))
		if !w.Pending() {
			t.Fatalf("round %d: the batch that was handed out counts as dealt with", i)
		}
	}
}

// TestCatchUpIsForMany: callers do not take each other's answers, and none is left waiting when watching ends.
func TestCatchUpIsForMany(t *testing.T) {
	g := newGround(t)
	w := g.f.NewWatcher(folder.WatchConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); w.Run(ctx) }()
	g.next(w)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 200 {
				if err := w.CatchUp(t.Context()); err != nil {
					t.Errorf("CatchUp: %v", err)
				}
			}
		})
	}
	time.AfterFunc(time.Millisecond, cancel)
	callers.Wait()
	<-over
}

// TestCatchUpWithoutWatches returns where there is nothing to wait for.
func TestCatchUpWithoutWatches(t *testing.T) {
	g := newGround(t)
	must(t, g.f.NewWatcher(folder.WatchConfig{}).CatchUp(t.Context())) // it does not run
	w := g.watch(folder.WatchConfig{})
	must(t, os.RemoveAll(g.path(".meerkat")))
	must(t, w.CatchUp(t.Context())) // no mark can be made
}

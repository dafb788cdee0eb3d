package folder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// play lets a watcher deliver in fake time what change notes every step, and returns when it delivered p.
func play(t *testing.T, n int, step time.Duration, change func(q *pending, now time.Time)) (at []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := (&Folder{}).NewWatcher(WatchConfig{})
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			defer close(over)
			for {
				if _, err := w.Next(ctx); err != nil {
					return
				}
				at = append(at, time.Since(start))
			}
		}()
		for range n {
			w.note(change)
			time.Sleep(step)
		}
		time.Sleep(time.Minute)
		cancel()
		<-over
	})
	return at
}

func TestSavesAreDeliveredAtOnce(t *testing.T) {
	at := play(t, 100, 300*time.Millisecond, func(q *pending, now time.Time) { q.done("f", false, now) })
	if len(at) != 100 {
		t.Fatalf("%d deliveries of 100 saves", len(at))
	}
	for i, d := range at {
		if wait := d - time.Duration(i)*300*time.Millisecond; wait > 5*time.Millisecond {
			t.Errorf("save %d waited %v", i, wait)
		}
	}
}

func TestSavesWithoutEndAreSlowedDown(t *testing.T) {
	at := play(t, 6000, 10*time.Millisecond, func(q *pending, now time.Time) { q.done("f", false, now) }) // a minute
	if len(at) < 10 || len(at) > 60 {
		t.Errorf("%d deliveries in a minute of saves", len(at))
	}
	if last := at[len(at)-1]; last < time.Minute {
		t.Errorf("the last delivery came after %v, before the last save", last)
	}
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap > quietHigh+time.Second {
			t.Errorf("nothing was delivered for %v", gap)
		}
	}
}

func TestOpenFileRests(t *testing.T) {
	at := play(t, 50, 20*time.Millisecond, func(q *pending, now time.Time) { q.writing("f", now) })
	want := 49*20*time.Millisecond + quietLow
	if len(at) != 1 || at[0] < want || at[0] > want+10*time.Millisecond {
		t.Errorf("delivered at %v, want once at %v", at, want)
	}
}

func TestFileThatIsWrittenForEverIsDelivered(t *testing.T) {
	at := play(t, 3000, 20*time.Millisecond, func(q *pending, now time.Time) { q.writing("f", now) }) // a minute
	if len(at) < 5 || len(at) > 8 {
		t.Errorf("%d deliveries in a minute of writing: %v", len(at), at)
	}
}

func TestAppendsNowAndThenAskForALongerRest(t *testing.T) {
	at := play(t, 300, 400*time.Millisecond, func(q *pending, now time.Time) { q.writing("log", now) }) // two minutes
	if len(at) < 10 || len(at) > 40 {
		t.Errorf("%d deliveries in two minutes of appending", len(at))
	}
}

func TestCloseEndsTheRest(t *testing.T) {
	var n int
	at := play(t, 2, 10*time.Millisecond, func(q *pending, now time.Time) {
		if n++; n == 1 {
			q.writing("f", now)
			q.attrib("f", now) // while it is written, its mode is no news
		} else {
			q.done("f", false, now)
		}
	})
	if len(at) != 1 || at[0] > 20*time.Millisecond {
		t.Errorf("delivered at %v, want once at 13 ms", at)
	}
}

func TestTooManyPathsAreEverything(t *testing.T) {
	q := newPending()
	now := time.Unix(1, 0)
	for i := range mostDirty + 10 {
		q.done(event.Path(fmt.Sprint(i)), false, now)
	}
	if b := q.take(now.Add(time.Second)); !b.All || len(b.Dirty) > 0 {
		t.Errorf("batch with All %v and %d paths", b.All, len(b.Dirty))
	}
	if _, ok := q.next(); ok {
		t.Error("there is more to deliver")
	}
}

func TestBusyPathsAreForgotten(t *testing.T) {
	q := newPending()
	now := time.Unix(1, 0)
	for i := range 1000 {
		q.done(event.Path(fmt.Sprint(i)), false, now)
		now = now.Add(time.Second)
		q.take(now)
	}
	if len(q.pace) > 5 {
		t.Errorf("%d paths are remembered as busy", len(q.pace))
	}
}

// The kernel drops events when nobody reads them; the watcher must then say that anything may have changed.
func TestOverflowIsEverything(t *testing.T) {
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Skipf("no inotify here: %v", err)
	}
	var most int
	if _, err := fmt.Sscan(string(limit), &most); err != nil || most > 100_000 {
		t.Skipf("the event queue is too long to fill: %s", limit)
	}
	dir := t.TempDir()
	f, err := Create(Config{Root: dir, Pool: event.PoolID{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := f.NewWatcher(WatchConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	over := make(chan struct{})
	go func() { defer close(over); w.Run(ctx) }()
	defer func() { cancel(); <-over }()
	if b, err := w.Next(ctx); err != nil || !b.All {
		t.Fatalf("first batch %+v, %v", b, err)
	}
	w.mu.Lock() // the reader stops at its first note
	name := filepath.Join(dir, "f")
	for i := 0; i < most+2000; i++ {
		if err = os.WriteFile(fmt.Sprint(name, i%7), nil, 0o600); err != nil {
			break
		}
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "missed"), 0o700)
	}
	w.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for b := (Batch{}); !b.All; {
		if b, err = w.Next(ctx); err != nil {
			t.Fatal("no overflow was told: ", err)
		}
	}
	if n := w.Status().Watches; n != 2 {
		t.Errorf("%d watches, want 2: the directory that was missed has none", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "missed", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for b := (Batch{}); !slices.Contains(b.Dirty, Dirty{Path: "missed/x"}); {
		if b, err = w.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

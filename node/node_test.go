package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// soon bounds what takes a moment; it is long for machines with much else to do.
const soon = 60 * time.Second

var errSeen = errors.New("seen")

func TestTwoNodesKeepAFolderEqual(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	large := strings.Repeat("a large file is fetched in chunks ", 100_000)
	a.put("plan.txt", "one")
	a.put("deep/down/large.bin", large)
	a.sync(a, b)
	b.want("plan.txt", "one")
	b.want("deep/down/large.bin", large)

	b.put("plan.txt", "two")
	b.sync(b, a)
	a.want("plan.txt", "two")

	if err := os.RemoveAll(filepath.Join(a.dir, "deep")); err != nil {
		t.Fatal(err)
	}
	a.sync(a, b)
	b.wantGone("deep")
	b.want("plan.txt", "two")
	a.stop()
	b.stop()
}

// A scan that saw a file vanish, and whose finding is looked at only after the
// deletion by a member was applied, saw that deletion.
func TestADeletionThatWasAppliedIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.put("x", "content")
	a.sync(a, b)
	if err := os.Remove(filepath.Join(b.dir, "x")); err != nil {
		t.Fatal(err)
	}
	b.sync(b, a)
	a.wantGone("x")
	if err := a.n.SawGone("x"); err != nil {
		t.Fatal(err)
	}
	var did []string
	err := a.n.Log(t.Context(), node.LogRequest{Path: "x"}, func(c node.ChangeInfo) error {
		did = append(did, c.ByName+" "+c.Action)
		return nil
	})
	if want := []string{"a created", "b deleted"}; err != nil || !slices.Equal(did, want) {
		t.Errorf("log %q, %v; want %q", did, err, want)
	}
}

func TestANodeGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.put("kept", "kept")
	a.put("gone", "gone")
	a.sync(a, b)
	b.stop()
	a.until("a sees b go", func(s node.Status) bool { return !both(s) })
	if err := os.Remove(filepath.Join(a.dir, "gone")); err != nil {
		t.Fatal(err)
	}
	a.put("new", "new")
	a.sync(a)
	b.put("while off", "off")
	b.start()
	a.until("a sees b again", both)
	b.until("b sees a again", both)
	b.sync(b, a, b)
	b.want("kept", "kept")
	b.want("new", "new")
	b.wantGone("gone")
	a.want("while off", "off")
}

// A script says up, and then wait: a node that has met nobody yet does not
// know that it wants anything.
func TestWaitLooksForMembersFirst(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.stop()
	a.until("a sees b go", func(s node.Status) bool { return !both(s) })
	a.put("new", "new")
	a.sync(a)
	b.start()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := b.n.Wait(ctx, ""); err != nil {
		t.Fatal(err)
	}
	b.want("new", "new")
	if err := b.n.Wait(ctx, "nope"); err == nil {
		t.Error("Wait for a pool that is not there says nothing")
	}
	a.stop()
	b.stop()
	b.start()
	begun := time.Now()
	if err := b.n.Wait(ctx, "pool"); err != nil || time.Since(begun) > 30*time.Second {
		t.Errorf("Wait alone = %v after %v, want nil soon: nobody else is there", err, time.Since(begun))
	}
}

// What an earlier run fetched of a large file counts: a bar that begins again
// at nothing makes people think that it did.
func TestProgressCountsWhatIsHereAlready(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	if _, err := a.n.SetSetting(t.Context(), "bandwidth.up", []string{"8MB"}); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 40<<20)
	_, _ = rand.Read(noise) // it never fails
	a.put("large.bin", string(noise))
	if err := a.n.Scan(t.Context(), "", ""); err != nil {
		t.Fatal(err)
	}
	b.until("b has a quarter", func(s node.Status) bool { return done(s) > 10<<20 })
	b.stop()
	b.start()
	var first int64
	b.until("b goes on", func(s node.Status) bool { first = done(s); return first > 0 })
	if first < 8<<20 {
		t.Errorf("the fetch goes on at %d bytes, want what was there: more than %d", first, 8<<20)
	}
}

// done are the bytes of what is being fetched.
func done(s node.Status) int64 {
	if len(s.Pools) != 1 || s.Pools[0].Progress == nil || s.Pools[0].Progress.Kind != "fetch" {
		return 0
	}
	return s.Pools[0].Progress.DoneBytes
}

// Programs follow events instead of asking for the status again and again.
func TestEventsTellOfStatesAndMembers(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.put("f", "x")
	a.sync(a, b)
	a.hears("file.changed ")
	a.hears("member.online b")
	a.hears("pool.state in_sync")
	a.until("the last change is told", func(s node.Status) bool { return s.Pools[0].LastChange != nil })
	b.stop()
	a.hears("member.online b", "member.offline b")
	a.hears("pool.state in_sync", "pool.state offline")
}

// hears waits until the events are want, in this order, among others.
func (r *running) hears(want ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), soon)
	defer cancel()
	var got []string
	left := want
	err := r.n.Events(ctx, "0", true, func(e node.EventInfo) error {
		got = append(got, e.Type+" "+e.Detail)
		if got[len(got)-1] == left[0] {
			left = left[1:]
		}
		if len(left) == 0 {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		r.t.Fatalf("the events at %s are %q, want %q among them", r.home.Name(), got, want)
	}
}

// A founder need not wait for a member that came and went at once: what it has
// is the pool.
func TestAFounderPublishesWithoutItsFirstMember(t *testing.T) {
	t.Parallel()
	a := newRunning(t, "a")
	if _, err := a.home.Init(t.Context(), a.dir, "pool"); err != nil {
		t.Fatal(err)
	}
	if err := a.home.AdmitUnseen(newRunning(t, "b").home.ID(), "b"); err != nil { // before the first start, and never seen
		t.Fatal(err)
	}
	a.put("f", "x")
	a.start()
	a.sync(a)
}

func TestANodeIsListedOnce(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for range 2 { // a second run has another port
		b.stop()
		b.start()
		b.until("b sees a", both)
		a.until("a sees b", both)
	}
	for _, r := range []*running{a, b} {
		s, err := r.n.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, m := range s.Pools[0].Members {
			seen[m.ID]++
		}
		if len(seen) != 2 || seen[a.home.ID().String()] != 1 || seen[b.home.ID().String()] != 1 {
			t.Errorf("%s lists %v, want a and b once each", r.home.Name(), seen)
		}
		if self := s.Pools[0].Members[0]; !self.Self || self.ID != r.home.ID().String() {
			t.Errorf("%s lists %s first, want itself", r.home.Name(), self.Name)
		}
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := ours()
	a, b := pair(t)
	a.put("f", "x")
	a.sync(a, b)
	a.stop()
	b.stop()
	for _, r := range []*running{a, b} {
		if err := r.home.Close(); err != nil {
			t.Error(err)
		}
	}
	// What was told to end may be on its last instruction.
	var left []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); runtime.Gosched() {
		left = left[:0]
		for id, stack := range ours() {
			if before[id] == "" {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}

// ours are the stacks of all goroutines but the caller's that run code of this
// module, or were started by it, by their number.
func ours() map[string]string {
	buf := make([]byte, 8<<20)
	all := bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))
	out := map[string]string{}
	for _, s := range all[1:] { // the first is the caller's
		if bytes.Contains(s, []byte("github.com/bwaklog/meerkat/")) {
			id, _, _ := strings.Cut(strings.TrimPrefix(string(s), "goroutine "), " ")
			out[id] = string(s)
		}
	}
	return out
}

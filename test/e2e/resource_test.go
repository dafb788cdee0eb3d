package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/test/lab"
	"github.com/bwaklog/meerkat/test/rot"
)

// TestO_RS_1_Idle: two nodes with 10,000 files that nobody touches hardly do anything.
func TestO_RS_1_Idle(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	for i := range 10_000 {
		a.Put(fmt.Sprintf("d%03d/f%05d", i%100, i), fmt.Sprint("content of ", i))
	}
	l.Pool(a, b)
	time.Sleep(45 * time.Second) // what the work before leaves to be done is done
	type meter struct {
		cpu  float64
		wire int64
	}
	read := func(h *lab.Host) meter {
		in, out := h.Wire()
		return meter{cpuSeconds(t, h), in + out}
	}
	before := []meter{read(a), read(b)}
	start := time.Now()
	time.Sleep(time.Minute)
	for i, h := range []*lab.Host{a, b} {
		now := read(h)
		minutes := time.Since(start).Minutes()
		cpu := (now.cpu - before[i].cpu) / (60 * minutes)
		wire := float64(now.wire-before[i].wire) / minutes
		rss := float64(resident(t, h)) / (1 << 20)
		t.Logf("%s: %.2f %% of a core, %.1f kB a minute in and out, %.0f MB", h.Name, 100*cpu, wire/1000, rss)
		if cpu > 0.01 || wire > 20_000 || rss > 200 {
			t.Errorf("%s idles at %.2f %% of a core, %.0f bytes a minute, %.0f MB; at most 1 %%, 20 kB, 200 MB", h.Name, 100*cpu, wire, rss)
		}
	}
}

// entriesRS2 is how many entries O-RS-2 has: MEERKAT_RS2=100000 for the number in its row.
func entriesRS2() int {
	if n, err := strconv.Atoi(os.Getenv("MEERKAT_RS2")); err == nil {
		return n
	}
	return 20_000
}

// TestO_RS_2_DamagedState: a node whose state lost what stands at a path, with the same heads as everybody, finds that by
// comparing states, in few steps, and nobody's file is touched for it.
func TestO_RS_2_DamagedState(t *testing.T) {
	t.Parallel()
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	n := entriesRS2()
	for i := range n {
		a.Put(fmt.Sprintf("d%03d/f%06d", i%100, i), fmt.Sprint(i))
	}
	b.OK(os.RemoveAll(b.Dir))
	l.Must("cp", "-a", a.Dir, b.Dir)
	l.Pool(a, b)
	const lost = "d034/f001234"
	before, err := os.Stat(b.Path(lost))
	b.OK(err)
	root, said := a.Status().Pools[0].Root, len(changes(a)) // where both scan at once, both may say what both have
	b.Stop()
	b.OK(rot.State(b.Home, event.Path(lost)))
	in0, out0 := b.Wire()
	b.Up()
	l.Until(max(40*time.Second, time.Duration(n)*time.Millisecond), "the states were reconciled", func() error {
		if s := sessions(l); len(s) == 0 {
			return fmt.Errorf("no session with news in its log")
		}
		return nil
	})
	in1, out1 := b.Wire()
	t.Logf("%d entries: %d bytes on the wire from the start on", n, in1-in0+out1-out0)
	for _, s := range sessions(l) {
		t.Logf("session: %d round trips, %d bytes", s.trips, s.bytes)
		if s.trips > 4 || s.bytes > 100_000 {
			t.Errorf("%d round trips and %d bytes, want at most 4 and 100 kB", s.trips, s.bytes)
		}
	}
	l.Equal(a, b)
	if got := b.Status().Pools[0].Root; got != root {
		t.Errorf("b shows root %s, want %s", got, root)
	}
	after, err := os.Stat(b.Path(lost))
	b.OK(err)
	if now := len(changes(a)); !os.SameFile(before, after) || now != said {
		t.Errorf("the file is another one now: %v; a knows %d changes, want %d", !os.SameFile(before, after), now, said)
	}
	if entries, err := filepath.Glob(b.Path(".meerkat/versions/*")); err != nil || len(entries) > 0 {
		t.Errorf("b has versions %v, %v, want none", entries, err)
	}
	a.WantConflicts(0)
}

type session struct{ trips, bytes int }

// sessions are the reconciliations that brought something, as the nodes' logs tell.
func sessions(l *lab.Lab) (out []session) {
	for _, line := range strings.Split(l.Logs(), "\n") {
		if !strings.Contains(line, "reconciled") || !strings.Contains(line, "trips=") {
			continue
		}
		if strings.Contains(line, "news=true") {
			out = append(out, session{numberIn(line, "trips"), numberIn(line, "bytes")})
		}
	}
	return out
}

func numberIn(line, key string) int {
	m := regexp.MustCompile(`\b` + key + `=(\d+)`).FindStringSubmatch(line)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

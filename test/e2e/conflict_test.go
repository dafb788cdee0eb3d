package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// two makes a pool of two hosts. The test runs beside others: what it measures in
// time must bear that.
func two(t *testing.T) (*lab.Lab, *lab.Host, *lab.Host) {
	t.Helper()
	t.Parallel()
	l := lab.New(t, "a", "b")
	l.Pool(l.Hosts...)
	return l, l.Hosts[0], l.Hosts[1]
}

// three makes a pool of three hosts; else it is like two.
func three(t *testing.T) (*lab.Lab, *lab.Host, *lab.Host, *lab.Host) {
	t.Helper()
	t.Parallel()
	l := lab.New(t, "a", "b", "c")
	l.Pool(l.Hosts...)
	return l, l.Hosts[0], l.Hosts[1], l.Hosts[2]
}

// apart runs f while no two hosts can talk, with all edits published before
// the links come back.
func apart(l *lab.Lab, f func()) {
	var groups [][]*lab.Host
	for _, h := range l.Hosts {
		groups = append(groups, []*lab.Host{h})
	}
	l.Split(groups...)
	f()
	for _, h := range l.Hosts {
		h.Cli("scan")
	}
	l.Heal()
}

func TestO_CF_1_BothEditApart(t *testing.T) {
	l, a, b := two(t)
	a.Write("doc.md", "base")
	l.Equal(a, b)
	apart(l, func() {
		a.Write("doc.md", "from a")
		b.Write("doc.md", "from b")
	})
	l.Equal(a, b)
	copies := a.WantConflicts(1)
	b.WantConflicts(1)
	got := []string{a.Read("doc.md"), a.Read(copies[0])}
	slices.Sort(got)
	if want := []string{"from a", "from b"}; !slices.Equal(got, want) {
		t.Errorf("values %q, want %q", got, want)
	}
	if !strings.HasPrefix(copies[0], "doc.conflict-") || !strings.HasSuffix(copies[0], ".md") {
		t.Errorf("the copy is called %q", copies[0])
	}
	if s := a.Status().Pools[0]; s.Conflicts != 1 || s.NeedsYou < 1 {
		t.Errorf("status says %d conflicts, needs_you %d; want 1 and at least 1", s.Conflicts, s.NeedsYou)
	}
}

func TestO_CF_2_EditAfterSeeing(t *testing.T) {
	l, a, b, c := three(t)
	a.Write("f", "base")
	l.Equal(a, b, c)
	l.Split([]*lab.Host{a}, []*lab.Host{b, c})
	a.Write("f", "value of a")
	b.Write("f", "value of b")
	l.Converged(30*time.Second, b, c)
	c.Want("f", "value of b")
	c.Write("f", "value of c")
	l.Converged(30*time.Second, b, c)
	a.Cli("scan")
	l.Heal()
	l.Equal(a, b, c)
	copies := a.WantConflicts(1)
	got := []string{a.Read("f"), a.Read(copies[0])}
	slices.Sort(got)
	if want := []string{"value of a", "value of c"}; !slices.Equal(got, want) {
		t.Errorf("values %q, want %q", got, want)
	}
}

func TestO_CF_3_BothCreateApart(t *testing.T) {
	l, a, b := two(t)
	apart(l, func() {
		a.Write("notes.txt", "a's notes")
		b.Write("notes.txt", "b's notes")
	})
	l.Equal(a, b)
	copies := a.WantConflicts(1)
	got := []string{a.Read("notes.txt"), a.Read(copies[0])}
	slices.Sort(got)
	if want := []string{"a's notes", "b's notes"}; !slices.Equal(got, want) {
		t.Errorf("values %q, want %q", got, want)
	}
}

func TestO_CF_4_CopyDeletedWinnerEdited(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "base")
	l.Equal(a, b)
	apart(l, func() {
		a.Write("f", "one")
		b.Write("f", "two")
	})
	l.Equal(a, b)
	copies := a.WantConflicts(1)
	apart(l, func() {
		b.OK(os.Remove(b.Path(copies[0])))
		a.Write("f", "edited after")
	})
	l.Equal(a, b)
	a.WantConflicts(0)
	b.Want("f", "edited after")
}

func TestO_CF_5_TwentyConflicts(t *testing.T) {
	l, a, b := two(t)
	a.Write("f.txt", "base")
	l.Equal(a, b)
	var values []string
	for i := range 20 {
		x, y := fmt.Sprintf("a %d", i), fmt.Sprintf("b %d", i)
		apart(l, func() {
			a.Write("f.txt", x)
			b.Write("f.txt", y)
		})
		l.Converged(60*time.Second, a, b)
		values = append(values, x, y)
	}
	l.Equal(a, b)
	copies := a.WantConflicts(20)
	kept := map[string]bool{a.Read("f.txt"): true}
	for _, c := range copies {
		if strings.Count(c, ".conflict-") != 1 {
			t.Errorf("a copy of a copy: %s", c)
		}
		kept[a.Read(c)] = true
	}
	for i := 0; i < len(values); i += 2 {
		// The winner of a round is overwritten by both in the next; its loser must stand.
		if !kept[values[i]] && !kept[values[i+1]] {
			t.Errorf("neither %q nor %q is kept", values[i], values[i+1])
		}
	}
}

func TestO_CF_6_DirReplacedByFile(t *testing.T) {
	l, a, b := two(t)
	for _, n := range []string{"x", "y", "z"} {
		a.Write("d/"+n, "old "+n)
	}
	l.Equal(a, b)
	apart(l, func() {
		a.OK(os.RemoveAll(a.Path("d")))
		a.Write("d", "a file now")
		b.Write("d/x", "edited by b")
	})
	l.Equal(a, b)
	a.Want("d/x", "edited by b")
	copies := a.WantConflicts(1)
	if got := a.Read(copies[0]); got != "a file now" {
		t.Errorf("the copy holds %q, want the file", got)
	}
	if a.Exists("d/y") || a.Exists("d/z") {
		t.Error("deleted files are back")
	}
}

func TestO_CF_7_SameEditApart(t *testing.T) {
	l, a, b := two(t)
	for i := range 200 {
		a.Put(fmt.Sprintf("f%03d", i), fmt.Sprintf("colour %d\n", i))
	}
	l.Equal(a, b)
	apart(l, func() {
		for _, h := range []*lab.Host{a, b} {
			for i := range 200 {
				h.Put(fmt.Sprintf("f%03d", i), fmt.Sprintf("color %d\n", i))
			}
		}
	})
	l.Equal(a, b)
	a.WantConflicts(0)
	a.Want("f007", "color 7\n")
}

func TestO_CF_8_LinearHistory(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "base")
	l.Equal(a, b)
	b.Stop()
	for i := range 10 {
		a.Write("f", fmt.Sprintf("edit %d", i))
		a.Cli("scan")
	}
	b.Up()
	l.Equal(a, b)
	b.Write("f", "by b, after all of them")
	l.Equal(a, b)
	a.Want("f", "by b, after all of them")
	a.WantConflicts(0)
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

func TestO_SC_2_RemovedMember(t *testing.T) {
	l, a, b, c := three(t)
	a.Write("f", "x")
	c.Write("by c", "stays")
	l.Equal(a, b, c)
	a.Cli("peer", "rm", "c", "--yes")
	told(l, c, 20*time.Second, "removed from the pool")
	inState(l, c, 5*time.Second, "halted")
	a.Write("f", "secret")
	b.Write("g", "secret too")
	c.Write("h", "nobody wants it")
	l.Equal(a, b)
	time.Sleep(3 * time.Second)
	c.Want("f", "x")
	if c.Exists("g") || a.Exists("h") || b.Exists("h") {
		t.Error("something crossed the line")
	}
	a.Want("by c", "stays")

	// Back again: what it changed meanwhile counts, as what a new writer says.
	c.Cli("join", a.Cli("invite", "-q"), c.Dir, "--timeout", "30s")
	l.Equal(a, b, c)
	a.Want("h", "nobody wants it")
	c.Want("f", "secret")
	c.Write("i", "writes again")
	l.Equal(a, b, c)
	b.Want("i", "writes again")
	a.WantConflicts(0)
}

func TestRemovedWhileApart(t *testing.T) {
	l, a, b, c := three(t)
	a.Write("f", "x")
	l.Equal(a, b, c)
	l.Split([]*lab.Host{a}, []*lab.Host{b, c})
	c.Write("beyond", "the cut")
	l.Until(20*time.Second, "b shows what c wrote", func() error {
		if b.Read("beyond") != "the cut" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	a.Cli("peer", "rm", "c", "--yes")
	l.Heal()
	l.Equal(a, b)
	a.Want("beyond", "the cut") // b took it over
	told(l, c, 30*time.Second, "removed from the pool")
}

// invited makes a pool of a and lets b join with a role.
func invited(t *testing.T, role string) (*lab.Lab, *lab.Host, *lab.Host) {
	l := lab.New(t, "a", "b")
	a, b := l.Hosts[0], l.Hosts[1]
	a.Cli("init", a.Dir, "--name", "home")
	a.Up()
	b.Up()
	b.Cli("join", a.Cli("invite", "-q", "--role", role), b.Dir, "--timeout", "30s")
	l.Equal(a, b)
	return l, a, b
}

// versions gives the contents that a host keeps of replaced files.
func versions(h *lab.Host) string {
	var out []string
	_ = filepath.WalkDir(h.Path(".meerkat/versions"), func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			text, _ := os.ReadFile(p)
			out = append(out, string(text))
		}
		return nil
	})
	return strings.Join(out, "\n")
}

func TestO_SC_4_ReaderEdits(t *testing.T) {
	t.Parallel()
	l, a, r := invited(t, "reader")
	a.Write("f", "1")
	a.Write("g", "1")
	a.Write("d/h", "1")
	l.Equal(a, r)
	r.Write("f", "edited by the reader")
	r.Write("new", "made by the reader")
	r.OK(os.Remove(r.Path("g")))
	r.Cli("scan")
	l.Until(10*time.Second, "the edits are reported", func() error {
		n := 0
		for _, p := range r.Status().Pools[0].Problems {
			if p.Code == "local_edit" {
				n++
			}
		}
		if n != 3 {
			return fmt.Errorf("%d of 3", n)
		}
		return nil
	})
	a.Write("other", "goes on")
	l.Converged(20*time.Second, a, r)
	a.Want("f", "1")
	a.Want("g", "1")
	if a.Exists("new") {
		t.Error("a reader's file reached a")
	}
	r.Want("f", "edited by the reader")
	r.Want("g", "<absent>")
	r.Want("other", "goes on")
	r.Stop()
	r.Up()
	r.Cli("scan")
	r.Want("f", "edited by the reader")

	// The pool's next version is not held up, and the edit is not lost.
	a.Write("f", "2")
	a.Write("g", "2")
	l.Until(20*time.Second, "the pool's version", func() error {
		if r.Read("f") != "2" || r.Read("g") != "2" {
			return fmt.Errorf("f %q g %q, %s", r.Read("f"), r.Read("g"), r.Try("status", "--json").Out)
		}
		return nil
	})
	if got := versions(r); !strings.Contains(got, "edited by the reader") {
		t.Errorf("the edit is not among the versions: %q", got)
	}

	// As a writer, what is still there counts.
	r.Write("d/h", "edited too")
	r.Cli("scan")
	a.Cli("peer", "role", "b", "writer")
	l.Equal(a, r)
	a.Want("d/h", "edited too")
	a.Want("new", "made by the reader")
	a.Want("f", "2")
	a.WantConflicts(0)
}

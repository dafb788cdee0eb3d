package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// problem waits until status shows a problem with that code at a path, and
// gives its message and hint.
func problem(l *lab.Lab, h *lab.Host, limit time.Duration, path, code string) string {
	l.T.Helper()
	var text string
	l.Until(limit, fmt.Sprintf("%s shows %s at %s", h.Name, code, path), func() error {
		all := h.Status().Pools[0].Problems
		for _, p := range all {
			if p.Path == path && p.Code == code {
				text = p.Message + "; " + p.Hint
				return nil
			}
		}
		return fmt.Errorf("problems: %v", all)
	})
	return text
}

// noProblems waits until status shows none.
func noProblems(l *lab.Lab, h *lab.Host, limit time.Duration) {
	l.T.Helper()
	l.Until(limit, h.Name+" shows no problem", func() error {
		if all := h.Status().Pools[0].Problems; len(all) > 0 {
			return fmt.Errorf("problems: %v", all)
		}
		return nil
	})
}

// TestPipeInPlaceOfAFile: what a pipe takes the place of is gone, and what
// cannot come there for it waits without making work.
func TestPipeInPlaceOfAFile(t *testing.T) {
	l, a, b := two(t)
	a.Write("f", "a file")
	l.Equal(a, b)
	b.OK(os.Remove(b.Path("f")))
	b.OK(syscall.Mkfifo(b.Path("f"), 0o600))
	l.Until(30*time.Second, "the deletion on a", func() error {
		if a.Exists("f") {
			return fmt.Errorf("f is still there")
		}
		return nil
	})
	problem(l, b, 20*time.Second, "f", "special")
	a.Write("f", string(lab.Noise(1, 100_000)))
	a.Write("after", "goes on")
	l.Until(30*time.Second, "the rest on b", func() error {
		if b.Read("after") != "goes on" {
			return fmt.Errorf("not there")
		}
		return nil
	})
	l.Until(30*time.Second, "why says it", func() error {
		if out := b.Cli("why", b.Path("f")); !strings.Contains(out, "FIFO") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	in0, _ := b.Wire()
	time.Sleep(5 * time.Second)
	if in, _ := b.Wire(); in-in0 > 500_000 {
		t.Errorf("b fetched %d bytes in 5 s for a file that cannot come", in-in0)
	}
	b.OK(os.Remove(b.Path("f")))
	l.Equal(a, b)
}

// TestLeftoverEmptiedByHand: a directory that was deleted elsewhere and stayed
// for what is ignored in it goes when that goes.
func TestLeftoverEmptiedByHand(t *testing.T) {
	l, a, b := two(t)
	a.Write(".meerkatignore", "*.o\n")
	a.Write("d/e/f", "1")
	l.Equal(a, b)
	b.Put("d/e/x.o", "object")
	a.OK(os.RemoveAll(a.Path("d")))
	l.Until(30*time.Second, "f gone on b", func() error {
		if b.Exists("d/e/f") {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	b.Cli("scan")
	b.Want("d/e/x.o", "object")
	b.OK(os.Remove(b.Path("d/e/x.o")))
	l.Until(30*time.Second, "the empty directories go", func() error {
		if b.Exists("d") {
			return fmt.Errorf("d is there")
		}
		return nil
	})
	l.Equal(a, b)
	if a.Exists("d") {
		t.Error("the deleted directory came back on a")
	}
}

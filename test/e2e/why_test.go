package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// whyAnswer is what a test reads of `meerkat why --json`.
type whyAnswer struct {
	State, Cause, Hint string
	Members            []struct {
		Name, State string
		Percent     int
		Online      bool
	}
}

// TestWhyNamesTheOnlyHolder: the one member that holds a file dies while
// another has fetched a part of it; the others say who has the rest, how much
// is missing and what would help.
func TestWhyNamesTheOnlyHolder(t *testing.T) {
	l, a, b, c := three(t)
	a.Write("small", "before")
	l.Equal(a, b, c)
	b.Cli("config", "set", "bandwidth.down", "4MB")
	c.Cli("pause")
	a.Write("big", string(lab.Noise(7, 40<<20)))
	a.Cli("scan")
	l.Until(60*time.Second, "a part of the file at b", func() error {
		var w whyAnswer
		b.JSON(&w, "why", "big")
		for _, m := range w.Members {
			if m.Name == b.Name && m.State == "part" && m.Percent >= 10 && m.Percent < 90 {
				return nil
			}
		}
		return fmt.Errorf("b says %+v", w)
	})
	holder := memberName(b, a.ID())
	a.Kill()
	c.Cli("resume")
	for _, h := range []*lab.Host{b, c} {
		l.Until(60*time.Second, h.Name+" names the holder", func() error {
			var w whyAnswer
			h.JSON(&w, "why", "big")
			if w.State != "waiting" || !strings.Contains(w.Cause, "only "+holder+" holds") || !strings.Contains(w.Hint, "start "+holder) {
				return fmt.Errorf("%s says %+v", h.Name, w)
			}
			if h == b && !strings.Contains(w.Cause, "the missing ") {
				return errors.New("b does not say how much is missing: " + w.Cause)
			}
			t.Logf("%s: %s\nhint: %s", h.Name, w.Cause, w.Hint)
			return nil
		})
	}
	a.Up()
	b.Cli("config", "unset", "bandwidth.down")
	l.Equal(a, b, c)
	var w whyAnswer
	c.JSON(&w, "why", "big")
	if w.State != "in_sync" {
		t.Errorf("why says %q (%s) when all have it", w.State, w.Cause)
	}
}

// memberName is what the pool calls a node.
func memberName(h *lab.Host, id string) string {
	for _, m := range h.Status().Pools[0].Members {
		if m.ID == id {
			return m.Name
		}
	}
	return ""
}

package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// TestStateFullWhileApplying: where the state's disk is full at the moment when a file has come to its place, the index cannot
// follow. That file is no edit of this node's, though the pool has gone on when there is room again.
func TestStateFullWhileApplying(t *testing.T) {
	for n := 1; n <= 8; n++ {
		t.Run(fmt.Sprintf("at change %d", n), func(t *testing.T) {
			base := t.TempDir()
			synctest.Test(t, func(t *testing.T) { fullAt(t, base, n) })
		})
	}
}

func fullAt(t *testing.T, base string, n int) {
	a, b := pair(t, base)
	save(t, a, "first")
	agree(t, a, b, "first")
	b.Midway(n, func() {
		b.cramped.Store(true)
		time.AfterFunc(time.Second, func() { b.cramped.Store(false) })
	})
	save(t, a, "second")
	save(t, a, "third")
	agree(t, a, b, "third")
	names, err := filepath.Glob(filepath.Join(a.Dir, "[a-z]*"))
	if err != nil || len(names) != 1 {
		t.Errorf("a has %q (%v), want f alone", names, err)
	}
	err = a.Node().Log(t.Context(), node.LogRequest{Path: "f"}, func(c node.ChangeInfo) error {
		if c.ByName != a.Name {
			t.Errorf("%s by %s, who changed nothing", c.Action, c.ByName)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, m := range []*Machine{a, b} {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// save writes f as editors do, and lets some time pass.
func save(t *testing.T, m *Machine, body string) {
	t.Helper()
	f := filepath.Join(m.Dir, "f")
	if err := os.WriteFile(f+".save", []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f+".save", f); err != nil {
		t.Fatal(err)
	}
	if err := m.Node().Scan(t.Context(), "", ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1200 * time.Millisecond)
}

func agree(t *testing.T, a, b *Machine, want string) {
	t.Helper()
	time.Sleep(2*time.Minute + 7*time.Second) // between two rescans
	for _, m := range []*Machine{a, b} {
		if got, err := os.ReadFile(filepath.Join(m.Dir, "f")); string(got) != want {
			t.Errorf("%s has %q (%v), want %q", m.Name, got, err, want)
		}
		if p, err := m.pool(); err != nil || p.State != "in_sync" {
			t.Errorf("%s is %s %s (%v), want in_sync", m.Name, p.State, p.HaltedWhy, err)
		}
	}
}

package sim

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// TestHungDiskIsNoticed: a node whose disk does not answer any more says so, which is what a watchdog goes by; one that
// only has nothing to do, or waits for a member, does not.
func TestHungDiskIsNoticed(t *testing.T) {
	base := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, base)
		time.Sleep(10 * time.Minute)
		alive(t, b, "")
		hung := make(chan struct{})
		b.run.mu.Lock()
		for _, d := range b.run.disks {
			d.Hang(hung)
		}
		b.run.mu.Unlock()
		if err := os.WriteFile(filepath.Join(a.Dir, "f"), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Node().Scan(t.Context(), "", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		alive(t, b, "")
		time.Sleep(4 * time.Minute)
		alive(t, b, "applying does not end")
		alive(t, a, "")
		close(hung)
		time.Sleep(time.Minute)
		alive(t, b, "")
		if got, err := os.ReadFile(filepath.Join(b.Dir, "f")); string(got) != "content" {
			t.Errorf("after the hang b has %q, %v", got, err)
		}
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Minute) // alone
		alive(t, b, "")
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func alive(t *testing.T, m *Machine, want string) {
	t.Helper()
	got := ""
	if err := m.Node().Alive(); err != nil {
		got = err.Error()
	}
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("Alive of %s = %q, want %q", m.Name, got, want)
	}
}

// pair starts two machines whose folders are one pool's.
func pair(t *testing.T, base string) (a, b *Machine) {
	nw, log := NewNetwork(rand.New(rand.NewPCG(1, 1))), slog.New(slog.DiscardHandler)
	a, b = NewMachine(0, base, nw, log), NewMachine(1, base, nw, log)
	a.peers, b.peers = []string{b.listens()}, []string{a.listens()}
	for _, m := range []*Machine{a, b} {
		if err := os.MkdirAll(m.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), admission)
	defer cancel()
	if _, err := a.Node().Init(ctx, a.Dir, "pool"); err != nil {
		t.Fatal(err)
	}
	tk, err := a.Node().Invite(ctx, node.InviteRequest{Role: "writer", Expires: time.Hour, Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Node().Join(ctx, node.JoinRequest{Ticket: tk.Ticket, Dir: b.Dir, Name: "b"}); err != nil {
		t.Fatal(err)
	}
	return a, b
}

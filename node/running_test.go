package node_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// running is a whole node on loopback that meets others by addresses alone.
type running struct {
	t    *testing.T
	home *node.Home
	n    *node.Node
	dir  string
	at   string // where it listens
	end  context.CancelFunc
	gone chan struct{} // closed when Run has returned err
	err  error
}

func newRunning(t *testing.T, name string) *running {
	t.Helper()
	h := mustHome(t, t.TempDir(), "name = \""+name+"\"\n", node.HomeConfig{})
	return &running{t: t, home: h, dir: filepath.Join(t.TempDir(), "Sync")}
}

// start returns once the node serves.
func (r *running) start() {
	r.t.Helper()
	r.startAt("/ip4/127.0.0.1/tcp/0")
}

// startAgain is start at the address where the node was before.
func (r *running) startAgain() {
	r.t.Helper()
	r.startAt(r.at)
}

func (r *running) startAt(listen string) {
	r.t.Helper()
	n, err := node.New(node.Config{Home: r.home, Listen: []string{listen}, MDNS: "off", DHT: "off", Relay: "off"})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	ready, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		r.err = n.Run(ctx, func() { close(ready) })
	}()
	r.n, r.end, r.gone = n, cancel, gone
	r.t.Cleanup(func() { cancel(); <-gone })
	select {
	case <-ready:
	case <-gone:
		r.t.Fatalf("run: %v", r.err)
	}
	r.at, _, _ = strings.Cut(n.Addrs()[0], "/p2p/")
}

// stop ends the node in order, within the five seconds that it may take.
func (r *running) stop() {
	r.t.Helper()
	r.end()
	select {
	case <-r.gone:
		if r.err != nil {
			r.t.Errorf("run ended with %v", r.err)
		}
	case <-time.After(5 * time.Second):
		r.t.Fatal("the node did not stop in 5 s")
	}
}

// until blocks until the node's status is one that ok accepts.
func (r *running) until(what string, ok func(node.Status) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), soon)
	defer cancel()
	var last node.Status
	err := r.n.Watch(ctx, func(s node.Status) error {
		if last = s; ok(s) {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		r.t.Fatalf("%s: not in %v (%v); status %+v", what, soon, err, last)
	}
}

// both is a status in which the only pool has two members, and both are there.
func both(s node.Status) bool {
	return len(s.Pools) == 1 && len(s.Pools[0].Members) == 2 && s.Pools[0].Members[0].Online && s.Pools[0].Members[1].Online
}

// sync publishes what changed here, and waits until all is calm everywhere.
func (r *running) sync(all ...*running) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), soon)
	defer cancel()
	if err := r.n.Scan(ctx, "", ""); err != nil {
		r.t.Fatal(err)
	}
	for _, x := range all {
		if err := x.n.Wait(ctx, ""); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *running) put(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) want(name, text string) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil || string(b) != text {
		r.t.Errorf("%s at %s holds %.40q (%d bytes), %v; want %.40q", name, r.home.Name(), b, len(b), err, text)
	}
}

func (r *running) wantGone(name string) {
	r.t.Helper()
	if _, err := os.Lstat(filepath.Join(r.dir, name)); !errors.Is(err, fs.ErrNotExist) {
		r.t.Errorf("%s at %s: %v; want it gone", name, r.home.Name(), err)
	}
}

// pair is two nodes that run, of which b joined a's pool by ticket.
func pair(t *testing.T) (a, b *running) {
	t.Helper()
	a, b = newRunning(t, "a"), newRunning(t, "b")
	if _, err := a.home.Init(t.Context(), a.dir, "pool"); err != nil {
		t.Fatal(err)
	}
	a.start()
	tk, err := a.n.Invite(t.Context(), node.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	b.start()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := b.n.Join(ctx, node.JoinRequest{Ticket: tk.Ticket, Dir: b.dir}); err != nil {
		t.Fatal(err)
	}
	a.until("a sees b", both)
	b.until("b sees a", both)
	return a, b
}

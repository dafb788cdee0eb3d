package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/node"
)

// founded is a running node with a pool of its own.
func founded(t *testing.T, name, pool string, files map[string]string) *running {
	t.Helper()
	r := newRunning(t, name)
	for p, text := range files {
		r.put(p, text)
	}
	if _, err := r.home.Init(t.Context(), r.dir, pool); err != nil {
		t.Fatal(err)
	}
	r.start()
	return r
}

// joined is a running node in the pool of by.
func joined(t *testing.T, name string, by *running) *running {
	t.Helper()
	r := newRunning(t, name)
	r.start()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := r.n.Join(ctx, node.JoinRequest{Ticket: by.ticket(node.InviteRequest{}), Dir: r.dir}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *running) ticket(req node.InviteRequest) string {
	r.t.Helper()
	info, err := r.n.Invite(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	return info.Ticket
}

// merge merges r's pool into that of to.
func (r *running) merge(to *running) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), soon)
	defer cancel()
	if _, err := r.n.PoolMerge(ctx, to.ticket(node.InviteRequest{}), ""); err != nil {
		r.t.Fatal(err)
	}
}

// inPool waits until all have the pool of the first as their only one, with n
// members, the same tree, and nothing to do.
func inPool(t *testing.T, n int, all ...*running) {
	t.Helper()
	want := all[0].home.Pools()[0].ID.String()
	for _, r := range all {
		r.until(r.home.Name()+" is in the pool", func(s node.Status) bool {
			return len(s.Pools) == 1 && s.Pools[0].ID == want && len(s.Pools[0].Members) == n
		})
	}
	for range 2 {
		for _, r := range all {
			r.sync(all...)
		}
	}
	root := ""
	for _, r := range all {
		r.until(r.home.Name()+" has the same tree", func(s node.Status) bool {
			if root == "" {
				root = s.Pools[0].Root
			}
			return s.Pools[0].Root == root && s.Pools[0].WantedHere.Files == 0
		})
	}
}

func (r *running) copies(name string) []string {
	r.t.Helper()
	out, err := filepath.Glob(filepath.Join(r.dir, name+".conflict-*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestTwoPoolsBecomeOne(t *testing.T) {
	t.Parallel()
	a := founded(t, "a", "home", map[string]string{"same": "equal", "differ": "of a", "only a": "a"})
	c := founded(t, "c", "office", map[string]string{"same": "equal", "only c": "c", "d/e": "deep"})
	b, d := joined(t, "b", a), joined(t, "d", c)
	c.put("differ", "of c, later")
	a.sync(a, b)
	c.sync(c, d)
	c.merge(a)
	inPool(t, 4, a, b, c, d)
	for _, r := range []*running{a, b, c, d} {
		for name, text := range map[string]string{"same": "equal", "only a": "a", "only c": "c", "d/e": "deep", "differ": "of c, later"} {
			r.want(name, text)
		}
		got := r.copies("differ")
		if len(got) != 1 {
			t.Fatalf("%s: conflict copies %v, want one", r.home.Name(), got)
		}
		if text, err := os.ReadFile(got[0]); err != nil || string(text) != "of a" {
			t.Errorf("the copy holds %q, %v", text, err)
		}
		if same := r.copies("same"); len(same) != 0 {
			t.Errorf("equal files made copies %v", same)
		}
	}
	// The old history is there to be read.
	var old []string
	if err := c.n.Log(t.Context(), node.LogRequest{Pool: "office"}, func(ch node.ChangeInfo) error { old = append(old, ch.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(old, "only c") {
		t.Errorf("the log of the old pool tells of %v", old)
	}
	d.put("after", "the merge")
	d.sync(a, b, c, d)
	b.want("after", "the merge")
}

// A member that was off comes later and follows by itself: what it edited
// counts, what it had not heard of does not come back.
func TestMemberFollowsLater(t *testing.T) {
	t.Parallel()
	a := founded(t, "a", "home", map[string]string{"x": "x"})
	c := founded(t, "c", "office", map[string]string{"stale": "1", "deleted": "1", "edited": "1", "kept": "1"})
	d := joined(t, "d", c)
	c.sync(c, d)
	d.stop()
	c.put("stale", "2")
	if err := os.Remove(filepath.Join(c.dir, "deleted")); err != nil {
		t.Fatal(err)
	}
	c.sync(c)
	c.merge(a)
	c.put("kept", "2, in the new pool")
	c.until("c has said so", func(s node.Status) bool { return len(s.Pools) == 1 && s.Pools[0].State != node.StateScanning })
	c.sync(a, c)
	d.put("edited", "by d")
	d.put("new", "of d")
	d.start()
	inPool(t, 3, a, c, d)
	for _, r := range []*running{a, c, d} {
		r.want("stale", "2")
		r.wantGone("deleted")
		r.want("edited", "by d")
		r.want("new", "of d")
		r.want("kept", "2, in the new pool")
		for _, name := range []string{"stale", "edited", "kept", "deleted"} {
			if got := r.copies(name); len(got) != 0 {
				t.Errorf("%s: conflict copies %v", r.home.Name(), got)
			}
		}
	}
}

func TestMergesRefusedAtOnce(t *testing.T) {
	t.Parallel()
	a, c := founded(t, "a", "home", nil), founded(t, "c", "office", nil)
	w := joined(t, "w", c)
	for name, try := range map[string]struct {
		by     *running
		ticket string
		code   string
	}{
		"the same pool":      {c, c.ticket(node.InviteRequest{}), "already_member"},
		"no admin":           {w, a.ticket(node.InviteRequest{}), "not_allowed"},
		"a reader's ticket":  {c, a.ticket(node.InviteRequest{Role: "reader"}), "ticket_narrow"},
		"a damaged ticket":   {c, a.ticket(node.InviteRequest{})[:60], "ticket_damaged"},
		"no ticket":          {c, "", "ticket_damaged"},
		"an expired ticket":  {c, expired(t, a), "ticket_expired"},
		"from no known pool": {newRunning(t, "n"), a.ticket(node.InviteRequest{}), "no_pool"},
	} {
		_, err := try.by.home.NoteMerge(t.Context(), try.ticket, "")
		if e, ok := errors.AsType[*node.Error](err); !ok || e.Code != try.code {
			t.Errorf("%s: %v, want %s", name, err, try.code)
		}
	}
	if n := len(c.home.PendingJoins()); n != 0 {
		t.Errorf("%d refused merges are pending", n)
	}
}

func expired(t *testing.T, r *running) string {
	t.Helper()
	tk := r.ticket(node.InviteRequest{Expires: time.Second})
	time.Sleep(1100 * time.Millisecond) // tickets expire by the real clock
	return tk
}

// What comes of a merge does not depend on where a crash cuts it short: between
// any two of its durable steps the next start goes on.
func TestMergeGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	a := founded(t, "a", "home", map[string]string{"of a": "1"})
	c := founded(t, "c", "office", map[string]string{"of c": "1"})
	c.sync(c)
	ticket := a.ticket(node.InviteRequest{})
	c.stop()
	if _, err := c.home.NoteMerge(t.Context(), ticket, ""); err != nil {
		t.Fatal(err)
	}
	c.start()
	inPool(t, 2, a, c)
	c.want("of a", "1")
	a.want("of c", "1")

	// The marker is the new pool's, and the config still names the old one.
	config := c.home.ConfigPath()
	c.stop()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	now := c.home.Pools()[0].ID.String()
	was := oldPool(t, c)
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(string(text), now, was)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.home.Reload(); err != nil {
		t.Fatal(err)
	}
	c.start()
	inPool(t, 2, a, c)
}

// oldPool is the id of the pool that r's was merged from.
func oldPool(t *testing.T, r *running) string {
	t.Helper()
	all, err := r.home.PoolList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.MergedInto != "" && p.Path == "" {
			return p.ID
		}
	}
	t.Fatalf("no merged pool in %+v", all)
	return ""
}

// Two that want to merge into each other at once do not swap places.
func TestMergedIntoEachOther(t *testing.T) {
	t.Parallel()
	a := founded(t, "a", "home", map[string]string{"of a": "1"})
	c := founded(t, "c", "office", map[string]string{"of c": "1"})
	ta, tc := a.ticket(node.InviteRequest{}), c.ticket(node.InviteRequest{})
	done := make(chan error, 2)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	go func() { _, err := a.n.PoolMerge(ctx, tc, ""); done <- err }()
	go func() { _, err := c.n.PoolMerge(ctx, ta, ""); done <- err }()
	worked := 0
	for range 2 {
		if err := <-done; err == nil {
			worked++
		}
	}
	if worked == 0 {
		t.Error("none of two merges into each other worked")
	}
	a.until("in one pool with c", func(s node.Status) bool {
		return len(s.Pools) == 1 && len(c.home.Pools()) == 1 && s.Pools[0].ID == c.home.Pools()[0].ID.String() && len(s.Joining) == 0
	})
	inPool(t, 2, a, c)
	a.want("of c", "1")
	c.want("of a", "1")
}

// A reader of the old pool is no writer of the new one.
func TestRolesAfterAMerge(t *testing.T) {
	t.Parallel()
	a, c := founded(t, "a", "home", nil), founded(t, "c", "office", nil)
	w := joined(t, "w", c)
	id, err := peer.Decode(w.home.ID().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.n.PeerRole(t.Context(), "", id.String(), "reader"); err != nil {
		t.Fatal(err)
	}
	c.merge(a)
	m, err := a.n.Peer(t.Context(), "", id.String())
	if err != nil || m.Role != "reader" {
		t.Errorf("the old pool's reader is %q, %v", m.Role, err)
	}
	m, err = a.n.Peer(t.Context(), "", c.home.ID().String())
	if err != nil || m.Role != "writer" {
		t.Errorf("the old pool's admin is %q by a writer's ticket, %v", m.Role, err)
	}
}

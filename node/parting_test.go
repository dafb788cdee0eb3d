package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/node"
)

func alone(s node.Status) bool { return len(s.Pools) == 1 && len(s.Pools[0].Members) == 1 }

// forgotten waits until nothing of any pool is left in r's state.
func (r *running) forgotten() {
	r.t.Helper()
	for end := time.Now().Add(soon); ; <-time.After(50 * time.Millisecond) {
		ids, err := r.home.DB().Pools()
		if err != nil {
			r.t.Fatal(err)
		}
		if len(ids) == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("the state still has %v", ids)
		}
	}
}

// Who leaves while its node is off, or while nobody can hear it, is not a member
// for ever: it is told as soon as there is somebody to tell.
func TestLeavingIsToldLater(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(a, b *running) error{
		"while the node is off": func(_, b *running) error {
			b.stop()
			err := b.home.Leave(b.t.Context(), "pool")
			b.start()
			return err
		},
		"while nobody is there": func(a, b *running) error {
			a.stop()
			err := b.n.PoolLeave(b.t.Context(), "pool")
			a.startAgain()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			if err := leave(a, b); err != nil {
				t.Fatal(err)
			}
			if list, err := b.n.Pools(t.Context()); err != nil || len(list) != 0 {
				t.Errorf("%v, %v are listed after leaving", list, err)
			}
			a.until("b is no member", alone)
			b.forgotten()
		})
	}
}

// Who has left and told nobody may come back.
func TestComingBackAfterLeavingUntold(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.put("f", "x")
	a.sync(a, b)
	b.stop()
	if err := b.home.Leave(t.Context(), "pool"); err != nil {
		t.Fatal(err)
	}
	b.start()
	a.until("b is no member", alone)
	tk, err := a.n.Invite(t.Context(), node.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := b.n.Join(ctx, node.JoinRequest{Ticket: tk.Ticket, Dir: b.dir}); err != nil {
		t.Fatal(err)
	}
	b.put("g", "y")
	b.sync(b, a)
	a.want("g", "y")
	a.want("f", "x")
}

package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// Whether a ticket has expired is for who admits to say: a joiner whose clock is ahead asks all the same. Where nobody can be asked it
// ends as well, soon.
func TestTicketExpiredByTheJoinersClock(t *testing.T) {
	t.Parallel()
	a := founded(t, "a", "home", nil)
	ticket := a.ticket(node.InviteRequest{Expires: time.Second})
	time.Sleep(1100 * time.Millisecond) // by the real clock
	c := newRunning(t, "c")
	c.start()
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	for _, who := range []string{"a, who is there", "nobody"} {
		_, err := c.n.Join(ctx, node.JoinRequest{Ticket: ticket, Dir: c.dir})
		if e := (*node.Error)(nil); !errors.As(err, &e) || e.Code != "ticket_expired" {
			t.Errorf("%s: %v, want that it has expired", who, err)
		}
		a.stop()
	}
}

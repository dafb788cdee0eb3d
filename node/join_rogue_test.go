package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/internal/frame"
	"github.com/bwaklog/meerkat/node"
	"github.com/bwaklog/meerkat/node/internal/pb"
)

// A stranger on the LAN who says that the ticket is used does not end the join:
// it goes on until somebody lets the node in.
func TestRogueRefusalDoesNotEndAJoin(t *testing.T) {
	t.Parallel()
	a := founded(t, "a", "home", map[string]string{"f": "1"})
	ticket := a.ticket(node.InviteRequest{})
	a.stop()

	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	rogue, asked := newTestHost(t, key), make(chan struct{}, 64)
	rogue.SetStreamHandler(joinProtocol, func(s network.Stream) {
		defer s.Close()
		b, err := proto.Marshal(&pb.Answer{Verdict: pb.Answer_REFUSED, Code: "ticket_used"})
		if err != nil || frame.Write(s, b) != nil {
			return // the joiner has gone
		}
		asked <- struct{}{}
	})

	c := newRunning(t, "c")
	c.start()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := c.n.Join(ctx, node.JoinRequest{Ticket: ticket, Dir: c.dir}); done <- err }()
	c.until("the join is pending", func(s node.Status) bool { return len(s.Joining) == 1 })
	c.n.Met(peer.AddrInfo{ID: rogue.ID(), Addrs: rogue.Addrs()})
	for range 2 { // it was asked, and the join went on to ask once more
		select {
		case <-asked:
		case err := <-done:
			t.Fatalf("the join has ended: %v", err)
		case <-time.After(soon):
			t.Fatal("the rogue was not asked")
		}
	}
	a.start()
	info, err := a.n.Identity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Addrs {
		p, err := peer.AddrInfoFromString(s)
		if err != nil {
			t.Fatal(err)
		}
		c.n.Met(*p)
	}
	if err := <-done; err != nil {
		t.Fatalf("join: %v", errors.Unwrap(err))
	}
	inPool(t, 2, a, c)
	c.want("f", "1")
}

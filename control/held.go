package control

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

// Guards is the part of a [Backend] about what a guard has stopped.
type Guards interface {
	// Held lists what waits for a person's decision; "" is all pools.
	Held(ctx context.Context, pool string) ([]node.HeldInfo, error)
	// DecideHeld carries a decision out, and returns when it is done.
	DecideHeld(ctx context.Context, q node.HeldRequest) error
}

type heldArg struct {
	Pool   string
	ID     raw
	Accept bool
}

// heldVerbs are the doors of [Guards].
var heldVerbs = map[string]verb{
	"held": one(func(ctx context.Context, b Backend, a poolArg) ([]node.HeldInfo, error) { return b.Held(ctx, a.Pool) }),
	"decide": act(func(ctx context.Context, b Backend, a heldArg) error {
		return b.DecideHeld(ctx, node.HeldRequest{Pool: a.Pool, ID: string(a.ID), Accept: a.Accept})
	}),
}

// Held lists what waits for a person's decision.
func (c *Client) Held(ctx context.Context, pool string) ([]node.HeldInfo, error) {
	return ask[[]node.HeldInfo](ctx, c, "held", poolArg{Pool: pool})
}

// DecideHeld carries a decision out.
func (c *Client) DecideHeld(ctx context.Context, q node.HeldRequest) error {
	return c.do(ctx, "decide", heldArg{q.Pool, raw(q.ID), q.Accept})
}

package control_test

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

func (f *fake) Held(ctx context.Context, pool string) ([]node.HeldInfo, error) {
	return []node.HeldInfo{{ID: "x"}}, f.call(ctx, "held %q", pool)
}

func (f *fake) DecideHeld(ctx context.Context, q node.HeldRequest) error {
	return f.call(ctx, "decide %q %q %v", q.Pool, q.ID, q.Accept)
}

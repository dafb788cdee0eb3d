package control_test

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

func (f *fake) Netcheck(ctx context.Context) (node.NetInfo, error) {
	return node.NetInfo{NAT: "easy"}, f.call(ctx, "netcheck")
}

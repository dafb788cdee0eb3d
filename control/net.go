package control

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

// Net is the part of a [Backend] about the network around the node.
type Net interface {
	// Netcheck says what this network allows, and what would help.
	Netcheck(ctx context.Context) (node.NetInfo, error)
}

// netVerbs are the doors of [Net].
var netVerbs = map[string]verb{
	"netcheck": one(func(ctx context.Context, b Backend, _ none) (node.NetInfo, error) { return b.Netcheck(ctx) }),
}

// Netcheck says what this network allows, and what would help.
func (c *Client) Netcheck(ctx context.Context) (node.NetInfo, error) {
	return ask[node.NetInfo](ctx, c, "netcheck", none{})
}

package main

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

func (c canned) Held(_ context.Context, pool string) ([]node.HeldInfo, error) {
	c.asked("held %q", pool)
	return []node.HeldInfo{{
		Schema: node.SchemaHeld, ID: "mass_deletion", Pool: "home", Kind: "mass_deletion", Count: 84,
		Sample: []string{"a\nb"}, Message: "84 files are gone", Hint: "decide",
	}}, nil
}

func (c canned) DecideHeld(_ context.Context, q node.HeldRequest) error {
	c.asked("decide %q %q %v", q.Pool, q.ID, q.Accept)
	return nil
}

//go:build !unix

package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// keys reads none on this system: Ctrl-C ends what is shown.
func (a *app) keys(context.Context, *errgroup.Group) (pressed <-chan string, restore func()) {
	return nil, func() {}
}

package main

import (
	"context"
	"errors"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// errSaid ends a watch that has seen what it was for.
var errSaid = errors.New("said")

// joining joins, and meanwhile shows the words that the other side sees; they
// are nil where there are none (by ticket, or where no node runs).
func (a *app) joining(ctx context.Context, b control.Backend, r node.JoinRequest) (node.PoolInfo, []string, error) {
	if r.Ticket != "" {
		p, err := b.Join(ctx, r)
		return p, nil, err
	}
	watch, stop := context.WithCancel(ctx)
	found := make(chan []string, 1)
	go func() { found <- a.sayWords(watch, b, r.Dir) }()
	p, err := b.Join(ctx, r)
	stop()
	return p, <-found, err
}

// sayWords waits for the words of the join into dir, and shows them.
func (a *app) sayWords(ctx context.Context, b control.Backend, dir string) (words []string) {
	_ = b.Watch(ctx, func(s node.Status) error { // the join itself tells what goes wrong
		for _, p := range s.Joining {
			if p.Path == dir && len(p.Words) > 0 {
				words = p.Words
				a.say("the other side sees the same words: %s", strings.Join(words, " "))
				return errSaid
			}
		}
		return nil
	})
	return words
}

package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

func (a *app) poolMergeCmd() *cobra.Command {
	var file string
	c := command("merge TICKET|-", "Merge this pool into another one, with all its members", `  meerkat pool merge mkt1…                 # made there by: meerkat invite
  meerkat pool merge --ticket-file t.txt --pool photos`, takes(0, 1), func(ctx context.Context, args []string) error {
		if (file == "") == (len(args) == 0) {
			return usage("merge needs a ticket of the pool to merge into", "there: meerkat invite; here: meerkat pool merge TICKET")
		}
		arg := ""
		if len(args) > 0 {
			arg = args[0]
		}
		ticket, err := a.secret(arg, file)
		if err != nil {
			return err
		}
		return a.merge(ctx, ticket)
	})
	c.Flags().StringVar(&file, "ticket-file", "", "read the ticket from this `FILE`")
	return c
}

func (a *app) merge(ctx context.Context, ticket string) error {
	return a.anywhere(ctx, func(b control.Backend) error {
		ctx, cancel := a.patient(ctx, ticketPatience)
		defer cancel()
		p, err := b.PoolMerge(ctx, ticket, a.pool)
		if e, ok := errors.AsType[*node.Error](err); ok && e.Code == "join_pending" {
			e.Message = "the pool is not merged yet: " + e.Message
		}
		if err != nil {
			return err
		}
		if p.Pending {
			a.say(`not merged yet: a running node ("meerkat up") goes on trying until it is done or refused`)
		} else {
			a.say("merged: %s goes on as %s; every member's folder follows, and nothing is deleted", clean(p.Path), clean(p.Name))
		}
		if a.json {
			return a.object(p)
		}
		return a.print("%s\t%s", clean(p.Name), clean(p.Path))
	})
}

// patient bounds ctx by d where --timeout does not say.
func (a *app) patient(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if a.timeout != 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

package main

import (
	"context"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) pauseCmd() *cobra.Command {
	var span time.Duration
	c := command("pause [POOL|NODE] [--for 2h]", "Let a pool rest, or exchange no files with a node", `  meerkat pause                 # every pool, until "meerkat resume"
  meerkat pause photos --for 2h
  meerkat pause laptop          # send and fetch no files to and from laptop`, takes(0, 1), func(ctx context.Context, args []string) error {
		if span < 0 {
			return usage("--for is negative", "give a duration such as 2h")
		}
		return a.running(func(b control.Backend) error {
			q, name, err := a.pauseRequest(ctx, b, strings.Join(args, ""))
			if err != nil {
				return err
			}
			q.For = span
			done, err := b.Pause(ctx, q)
			return a.showPauses(name, done, err)
		})
	})
	c.Long = "Let a pool rest: nothing is looked at, published, fetched or served until \"meerkat resume\", or for a\nwhile. What others change is noted all the same. It outlasts a restart."
	c.Flags().DurationVar(&span, "for", 0, "go on by itself after this `DURATION`")
	c.ValidArgsFunction = a.completePoolsAndMembers
	return c
}

func (a *app) resumeCmd() *cobra.Command {
	c := command("resume [POOL|NODE]", "End a pause", "  meerkat resume\n  meerkat resume photos", takes(0, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			q, name, err := a.pauseRequest(ctx, b, strings.Join(args, ""))
			if err != nil {
				return err
			}
			done, err := b.Resume(ctx, q)
			return a.showPauses(name, done, err)
		})
	})
	c.ValidArgsFunction = a.completePoolsAndMembers
	return c
}

// pauseRequest finds out whether arg is a pool or a member, and the member's name.
func (a *app) pauseRequest(ctx context.Context, b control.Backend, arg string) (q node.PauseRequest, name string, err error) {
	if arg == "" {
		return node.PauseRequest{Pool: a.pool}, "", nil
	}
	all, err := b.Pools(ctx)
	if err != nil {
		return q, "", err
	}
	p, err := pickPool(all, arg)
	if err == nil {
		return node.PauseRequest{Pool: p.ID}, "", nil
	}
	for _, p := range all {
		if p.Pending {
			continue
		}
		ms, bad := b.Peers(ctx, p.ID)
		if bad != nil {
			return q, "", bad
		}
		if m, none := pickMember(ms, who(arg)); none == nil {
			return node.PauseRequest{Member: m.ID}, nameOf(m), nil
		}
	}
	return q, "", &node.Error{
		Code: "no_pool", Message: "there is neither a pool nor a member " + arg,
		Hint: `"meerkat status" shows both`, Exit: exitNotFound,
	}
}

func (a *app) showPauses(name string, ps []node.PauseInfo, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		return objects(a, ps)
	}
	for _, p := range ps {
		what, tail := p.Pool, ""
		if p.Member != "" {
			what = name
		}
		if p.Until != nil {
			tail = "\tuntil " + a.when(*p.Until)
		}
		verb := "resumed"
		if p.Paused {
			verb = "paused"
		}
		if err := a.print("%s\t%s%s", verb, clean(what), tail); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

const exitGuard = 8

func (a *app) heldCmd() *cobra.Command {
	ls := command("ls", "List what a guard has stopped", "  meerkat held ls --json", takes(0, 0), func(ctx context.Context, _ []string) error { return a.listHeld(ctx) })
	c := group("held", "Changes stopped by a guard until you decide", `  meerkat held
  meerkat held accept          # yes, all that is really gone: delete it for everybody
  meerkat held reject          # no: fetch it again`,
		ls, a.decideCmd("accept", "It is meant: let it through", true), a.decideCmd("reject", "It is not meant: undo it", false))
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return a.listHeld(c.Context()) }
	return c
}

func (a *app) listHeld(ctx context.Context) error {
	return a.running(func(b control.Backend) error {
		hs, err := b.Held(ctx, a.pool)
		if err != nil {
			return err
		}
		if a.json {
			return objects(a, hs)
		}
		for _, h := range hs {
			if err := a.showHeld(h); err != nil {
				return err
			}
		}
		if len(hs) == 0 {
			a.say("nothing is held")
		}
		return nil
	})
}

func (a *app) showHeld(h node.HeldInfo) error {
	lines := []string{fmt.Sprintf("%s\t%s\t%s", clean(h.ID), clean(h.Pool), clean(h.Message))}
	for _, p := range h.Sample {
		lines = append(lines, "  "+clean(p))
	}
	if n := h.Count - len(h.Sample); n > 0 && len(h.Sample) > 0 {
		lines = append(lines, "  and "+count(int64(n), "more", "more"))
	}
	return a.print("%s\n  hint: %s", strings.Join(lines, "\n"), h.Hint)
}

func (a *app) decideCmd(verb, short string, accept bool) *cobra.Command {
	return command(verb+" [ID]", short, "  meerkat held "+verb+"\n  meerkat held "+verb+" photos", takes(0, 1), func(ctx context.Context, args []string) error {
		id := strings.Join(args, "")
		return a.running(func(b control.Backend) error {
			if accept {
				if err := a.confirmHeld(ctx, b, id); err != nil {
					return err
				}
			}
			return b.DecideHeld(ctx, node.HeldRequest{Pool: a.pool, ID: id, Accept: accept})
		})
	})
}

// confirmHeld says what would be let through, and asks.
func (a *app) confirmHeld(ctx context.Context, b control.Backend, id string) error {
	hs, err := b.Held(ctx, a.pool)
	if err != nil {
		return err
	}
	var what []string
	for _, h := range hs {
		if id == "" || id == h.ID || id == h.Path {
			what = append(what, h.Message)
		}
	}
	if len(what) == 0 {
		return nil // the node says so
	}
	return a.confirm("letting it through for all members (" + clean(strings.Join(what, "; ")) + ")")
}

// guarded reports whether a guard has stopped something.
func guarded(s node.Status) bool {
	return slices.ContainsFunc(s.Pools, func(p node.PoolStatus) bool { return p.State == node.StateHalted || p.Held > 0 })
}

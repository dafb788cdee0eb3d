package main

import (
	"context"
	"os"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) conflictsCmd() *cobra.Command {
	list := func(ctx context.Context, args []string) error { return a.listConflicts(ctx, strings.Join(args, "")) }
	ls := command("ls [PATH]", "List what lost to another edit (exit 7 if there is any)", "  meerkat conflicts ls", takes(0, 1), list)
	c := group("conflicts", "List and settle conflicts", `  meerkat conflicts
  meerkat conflicts show plan.txt
  meerkat conflicts resolve plan.txt --keep ana     # ana's edit stays, the other becomes a version
  meerkat conflicts resolve plan.txt --keep both    # both become ordinary files`,
		ls, a.conflictShow(), a.conflictResolve())
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return list(c.Context(), nil) }
	ls.ValidArgsFunction = nil // files
	return c
}

func (a *app) listConflicts(ctx context.Context, arg string) error {
	return a.running(func(b control.Backend) error {
		found, err := a.conflictsAt(ctx, b, arg, a.showConflict)
		if err == nil && found > 0 {
			return &node.Error{Code: "conflicts", Message: count(int64(found), "conflict", "conflicts"), Hint: `settle them with "meerkat conflicts resolve PATH --keep NODE|both|FILE"`, Exit: exitAttention}
		}
		return err
	})
}

// conflictsAt calls f with each losing value at arg, in all pools if arg and --pool are empty.
func (a *app) conflictsAt(ctx context.Context, b control.Backend, arg string, f func(node.ConflictInfo) error) (int, error) {
	pool, path, err := a.place(ctx, b, arg)
	if err != nil {
		return 0, err
	}
	pools := []string{pool}
	if pool == "" && path == "" {
		all, err := b.Pools(ctx)
		if err != nil {
			return 0, err
		}
		pools = nil
		for _, p := range all {
			if !p.Pending {
				pools = append(pools, p.ID)
			}
		}
	}
	n := 0
	for _, p := range pools {
		err := b.Conflicts(ctx, p, path, func(c node.ConflictInfo) error { n++; return f(c) })
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (a *app) showConflict(c node.ConflictInfo) error {
	if a.json {
		return a.object(c)
	}
	return a.print("%s\t%s\t%s\t%s", shownPath(c.Path, c.PathB64), clean(c.ByName), a.when(c.Time), shownPath(c.Copy, c.CopyB64))
}

func (a *app) conflictShow() *cobra.Command {
	c := command("show PATH", "Who made which value, and when", "  meerkat conflicts show plan.txt", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			first := true
			n, err := a.conflictsAt(ctx, b, args[0], func(c node.ConflictInfo) error {
				if a.json {
					return a.object(c)
				}
				if first && c.KeptBy != "" {
					first = false
					if err := a.print("now\t%s\t%s\t%s\t%s", clean(c.KeptByName), a.when(c.KeptTime), size(c.KeptSize), shownPath(c.Path, c.PathB64)); err != nil {
						return err
					}
				}
				return a.print("copy\t%s\t%s\t%s\t%s", clean(c.ByName), a.when(c.Time), size(c.Size), shownPath(c.Copy, c.CopyB64))
			})
			if err == nil && n == 0 {
				return &node.Error{Code: "no_conflict", Message: "there is no conflict at " + args[0], Hint: `"meerkat conflicts" lists them`, Exit: exitNotFound}
			}
			return err
		})
	})
	c.ValidArgsFunction = a.completeConflicts
	return c
}

func (a *app) conflictResolve() *cobra.Command {
	var keep string
	c := command("resolve PATH --keep NODE|both|FILE", "Settle a conflict, once for all members", `  meerkat conflicts resolve plan.txt --keep ana
  meerkat conflicts resolve plan.txt --keep both
  meerkat conflicts resolve plan.txt --keep merged.txt   # a file in the pool that you made of both`, takes(1, 1), func(ctx context.Context, args []string) error {
		if keep == "" {
			return usage("conflicts resolve needs --keep", "keep a node's value by its name, both, or a file of the pool")
		}
		return a.running(func(b control.Backend) error {
			q := node.ResolveRequest{Keep: who(keep)}
			var err error
			if q.Pool, q.Path, err = a.place(ctx, b, args[0]); err != nil {
				return err
			}
			if _, missing := os.Lstat(keep); missing == nil && keep != node.KeepBoth {
				if _, q.Keep, err = a.place(ctx, b, keep); err != nil {
					return err
				}
			}
			done, err := b.Resolve(ctx, q)
			if err != nil {
				return err
			}
			return a.showResolved(done)
		})
	})
	c.Long = "Settle a conflict, once for all members. No value is lost: what is not kept becomes a version,\nsee \"meerkat versions PATH\"."
	c.Flags().StringVar(&keep, "keep", "", "what stays, a node's value, all of them, or a file's content: `NODE|both|FILE`")
	c.ValidArgsFunction = a.completeConflicts
	_ = c.RegisterFlagCompletionFunc("keep", a.completeKeep) // fails only for a flag that is not there
	return c
}

func (a *app) showResolved(r node.ResolveInfo) error {
	if a.json {
		return a.object(r)
	}
	for _, p := range r.Changed {
		if err := a.print("kept\t%s", clean(p)); err != nil {
			return err
		}
	}
	for _, p := range r.Removed {
		if err := a.print("removed\t%s", clean(p)); err != nil {
			return err
		}
	}
	return nil
}

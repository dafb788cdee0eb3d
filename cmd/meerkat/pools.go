package main

import (
	"context"
	"path/filepath"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) initCmd() *cobra.Command {
	var name string
	c := command("init DIR [--name NAME]", "Make a pool of a folder", `  meerkat init ~/Sync
  meerkat init /srv/photos --name photos`, takes(1, 1), func(ctx context.Context, args []string) error {
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		return a.anywhere(ctx, func(b control.Backend) error {
			p, err := b.Init(ctx, dir, name)
			if err != nil {
				return err
			}
			return a.showNewPool(p)
		})
	})
	c.Flags().StringVar(&name, "name", "", "the pool's `NAME` (default: the folder's)")
	c.ValidArgsFunction = completeDirs
	return c
}

func (a *app) showNewPool(p node.PoolInfo) error {
	if a.json {
		return a.object(p)
	}
	if err := a.print("%s\t%s", clean(p.Name), clean(p.Path)); err != nil {
		return err
	}
	a.say(`pool %s is made: "meerkat up" runs it, "meerkat invite" lets others in`, clean(p.Name))
	return nil
}

func (a *app) poolCmd() *cobra.Command {
	return group("pool", "The pools of this node", "  meerkat pool ls\n  meerkat pool rename home family",
		a.poolLsCmd(), a.poolShowCmd(), a.poolLeaveCmd(), a.poolMergeCmd(), a.poolRenameCmd())
}

func (a *app) poolLsCmd() *cobra.Command {
	return command("ls", "List the pools of this node", "  meerkat pool ls --json", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			ps, err := b.Pools(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return objects(a, ps)
			}
			rows := make([][]string, len(ps))
			for i, p := range ps {
				rows[i] = []string{clean(p.Name), p.Role, short(p.ID), clean(p.Path), pending(p)}
			}
			return a.table([]string{"NAME", "ROLE", "ID", "FOLDER", ""}, rows)
		})
	})
}

func pending(p node.PoolInfo) string {
	if p.MergedInto != "" {
		return "merged into " + clean(p.MergedInto)
	}
	if p.Pending {
		return "not admitted yet"
	}
	return ""
}

// short is enough of a long id to tell it from others and to type it.
func short(id string) string { return id[:min(12, len(id))] }

func (a *app) poolShowCmd() *cobra.Command {
	c := command("show [POOL]", "Show one pool", "  meerkat pool show home", takes(0, 1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			p, err := a.findPool(ctx, b, a.poolOr(args))
			if err != nil {
				return err
			}
			if a.json {
				return a.object(p)
			}
			return a.print("name\t%s\nid\t%s\nfolder\t%s\nrole\t%s", clean(p.Name), p.ID, clean(p.Path), p.Role)
		})
	})
	c.ValidArgsFunction = a.completePools
	return c
}

// poolOr gives the pool that was named as an argument, or by --pool.
func (a *app) poolOr(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return a.pool
}

func (a *app) poolLeaveCmd() *cobra.Command {
	c := command("leave [POOL]", "Stop syncing a pool here; the files stay", "  meerkat pool leave home", takes(0, 1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			p, err := a.findPool(ctx, b, a.poolOr(args))
			if err != nil {
				return err
			}
			if err := a.confirm("leaving the pool " + clean(p.Name) + " (the files in " + clean(p.Path) + " stay)"); err != nil {
				return err
			}
			if err := b.PoolLeave(ctx, p.ID); err != nil {
				return err
			}
			a.say("left %s; its files stay in %s", clean(p.Name), clean(p.Path))
			if _, off := b.(offline); off && p.Path != "" {
				a.say("no node runs here, so the other members learn of it when one does: \"meerkat up\"; or an admin there takes this one out with: meerkat peer rm %s", clean(a.ownName(ctx, b)))
			}
			return nil
		})
	})
	c.ValidArgsFunction = a.completePools
	return c
}

// ownName is what this node calls itself, or its id.
func (a *app) ownName(ctx context.Context, b control.Backend) string {
	id, err := b.Identity(ctx)
	if err != nil || id.Name == "" {
		return id.ID
	}
	return id.Name
}

func (a *app) poolRenameCmd() *cobra.Command {
	c := command("rename [POOL] NAME", "Give a pool another name, for all members", "  meerkat pool rename home family", takes(1, 2), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			return b.PoolRename(ctx, a.poolOr(args[:len(args)-1]), args[len(args)-1])
		})
	})
	c.ValidArgsFunction = a.completePools
	return c
}

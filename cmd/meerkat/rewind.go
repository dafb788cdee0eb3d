package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) rewindCmd() *cobra.Command {
	var q node.RewindRequest
	var since, until string
	c := command("rewind --by NODE --since T", "Undo one member's changes, keep everybody else's", `  meerkat rewind --by laptop --since 2h --dry-run       # what would be done
  meerkat rewind --by laptop --since 2026-11-22T10:00:00Z --until 2026-11-22T10:30:00Z`, takes(0, 0), func(ctx context.Context, _ []string) error {
		if q.By == "" || since == "" {
			return usage("rewind needs --by and --since", `such as: meerkat rewind --by laptop --since 2h --dry-run`)
		}
		var err error
		now := time.Now()
		if q.Since, err = moment(since, now); err != nil {
			return err
		}
		if q.Until, err = moment(until, now); err != nil {
			return err
		}
		if !q.Until.IsZero() && q.Until.Before(q.Since) {
			return usage("--until is before --since", "exchange them")
		}
		q.Pool, q.By = a.pool, who(q.By)
		return a.running(func(b control.Backend) error { return a.rewind(ctx, b, q) })
	})
	c.Long = "Undo what one member changed in a span of time, for all members; what others changed since stays.\nWhat stands there now becomes a version. It says first what cannot be brought back, and asks."
	f := c.Flags()
	f.StringVar(&q.By, "by", "", "the `NODE` whose changes")
	f.StringVar(&since, "since", "", "from `WHEN` on: a span back such as 2h, or a time")
	f.StringVar(&until, "until", "", "until `WHEN` (default: now)")
	f.BoolVar(&q.DryRun, "dry-run", false, "say what would be done, and change nothing")
	_ = c.RegisterFlagCompletionFunc("by", a.completeMembers) // fails only for a flag that is not there
	return c
}

// rewind shows the plan and, if that is wanted, carries it out.
func (a *app) rewind(ctx context.Context, b control.Backend, q node.RewindRequest) error {
	sum := map[string]int{}
	dry := q
	dry.DryRun = true
	err := b.Rewind(ctx, dry, func(i node.RewindInfo) error {
		sum[i.Action]++
		if q.DryRun || !a.json {
			return a.showRewind(i)
		}
		return nil
	})
	if err != nil {
		return err
	}
	todo := sum["restore"] + sum["delete"]
	text := fmt.Sprintf("%d to restore, %d to delete, %d changed by others since and kept, %d that nobody online has", sum["restore"], sum["delete"], sum["kept"], sum["lost"])
	a.say("%s", text)
	if q.DryRun || todo == 0 {
		return nil
	}
	if err := a.confirm(fmt.Sprintf("undoing %s of %s", count(int64(todo), "change", "changes"), q.By)); err != nil {
		return err
	}
	return b.Rewind(ctx, q, func(i node.RewindInfo) error {
		if a.json {
			return a.showRewind(i)
		}
		return nil
	})
}

func (a *app) showRewind(i node.RewindInfo) error {
	if a.json {
		return a.object(i)
	}
	detail := clean(i.Why)
	if i.Action == "restore" {
		detail = size(i.Size)
	}
	return a.print("%s\t%s\t%s", i.Action, shownPath(i.Path, i.PathB64), detail)
}

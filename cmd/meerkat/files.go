package main

import (
	"context"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) scanCmd() *cobra.Command {
	c := command("scan [PATH]", "Look for changes now", "  meerkat scan\n  meerkat scan ~/Sync/photos", takes(0, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			pool, path, err := a.place(ctx, b, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if pool == "" && path == "" {
				return a.scanAll(ctx, b)
			}
			return b.Scan(ctx, pool, path)
		})
	})
	c.ValidArgsFunction = nil // files
	return c
}

// scanAll scans each pool that this node has been let into.
func (a *app) scanAll(ctx context.Context, b control.Backend) error {
	ps, err := b.Pools(ctx)
	if err != nil {
		return err
	}
	if len(ps) == 0 {
		_, err := theOnly(ps)
		return err
	}
	for _, p := range ps {
		if p.Pending {
			continue
		}
		if err := b.Scan(ctx, p.ID, ""); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) logCmd() *cobra.Command {
	var since string
	var follow bool
	var last int
	c := command("log [PATH] [--follow]", "Who did what, when", "  meerkat log -n 20\n  meerkat log ~/Sync/plan.txt --since 24h\n  meerkat log --follow", takes(0, 1), func(ctx context.Context, args []string) error {
		if last < 0 {
			return usage("-n is negative", "try -n 20")
		}
		from, err := moment(since, time.Now())
		if err != nil {
			return err
		}
		return a.running(func(b control.Backend) error {
			pool, path, err := a.place(ctx, b, strings.Join(args, ""))
			if err != nil {
				return err
			}
			return b.Log(ctx, node.LogRequest{Pool: pool, Path: path, Since: from, Follow: follow, Last: last}, a.showChange)
		})
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens next")
	c.Flags().IntVarP(&last, "lines", "n", 0, "only the newest `COUNT` changes (default: all)")
	c.Flags().StringVar(&since, "since", "", "only what is newer than `WHEN`: a span such as 24h, or a time such as 2026-11-22T10:00:00Z")
	c.ValidArgsFunction = nil // files
	return c
}

// moment reads a span back from now, a time, or a day.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, nil
	}
	return time.Time{}, usage("--since does not understand "+clean(s), "give a span such as 24h, or a time such as 2026-11-22T10:00:00Z")
}

func (a *app) showChange(c node.ChangeInfo) error {
	if a.json {
		return a.object(c)
	}
	by := c.ByName
	if by == "" {
		by = short(c.By)
	}
	detail := ""
	if c.Kind == "file" && c.Action != "deleted" {
		detail = "\t" + size(c.Size)
	}
	return a.print("%s\t%s\t%s\t%s%s", a.when(c.Time), clean(by), deed(c.Action, c.Kind), shownPath(c.Path, c.PathB64), detail)
}

// deed says what was done, and to what where that is known.
func deed(action, kind string) string {
	switch {
	case action == "deleted" && kind == "file":
		return action
	case action == "mode":
		return "changed mode of " + kind
	case action == "settled":
		return "settled conflict"
	}
	return action + " " + kind
}

func (a *app) eventsCmd() *cobra.Command {
	var since string
	var follow bool
	c := command("events [--follow] [--since CURSOR]", "What happens on this node, for programs", "  meerkat events --follow --json", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.running(func(b control.Backend) error {
			pool, err := a.poolID(ctx, b)
			if err != nil {
				return err
			}
			return b.Events(ctx, since, follow, func(e node.EventInfo) error {
				if pool != "" && e.Pool != pool {
					return nil
				}
				return a.showEvent(e)
			})
		})
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens next")
	c.Flags().StringVar(&since, "since", "", "only what came after this `CURSOR`")
	return c
}

func (a *app) showEvent(e node.EventInfo) error {
	if a.json {
		return a.object(e)
	}
	words := []string{a.when(e.Time), e.Type, shownPath(e.Path, e.PathB64), clean(e.Detail), short(e.By)}
	return a.print("%s", strings.TrimRight(strings.Join(words, "\t"), "\t"))
}

package main

import (
	"context"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func (a *app) verifyCmd() *cobra.Command {
	var q node.VerifyRequest
	var rate string
	c := command("verify [PATH] [--repair]", "Read every file again, and heal damage from members", `  meerkat verify                       # exit 7 if something is damaged
  meerkat verify ~/Sync/photos --repair
  meerkat verify --rate 20MB           # at most so much a second`, takes(0, 1), func(ctx context.Context, args []string) error {
		if rate != "" {
			n, err := humanize.ParseBytes(rate)
			if err != nil || n == 0 || n > 1<<40 {
				return usage("--rate does not understand "+clean(rate), "give bytes a second, such as 20MB")
			}
			q.Rate = int64(n)
		}
		return a.running(func(b control.Backend) error {
			var err error
			if q.Pool, q.Path, err = a.place(ctx, b, strings.Join(args, "")); err != nil {
				return err
			}
			return a.verify(ctx, b, q)
		})
	})
	c.Long = "Read every file again and compare it with what was written. A file whose content differs although\nnothing about it changed is damaged; with --repair the right content is fetched from members."
	c.Flags().BoolVar(&q.Repair, "repair", false, "fetch what is damaged from members")
	c.Flags().StringVar(&rate, "rate", "", "read at most at this `RATE`, such as 50MB a second (default 200MB)")
	c.ValidArgsFunction = nil // files
	return c
}

func (a *app) verify(ctx context.Context, b control.Backend, q node.VerifyRequest) error {
	bad := int64(0)
	err := b.Verify(ctx, q, func(v node.VerifyInfo) error {
		switch v.State {
		case "progress":
			a.tick("verifying  %d %%  %s of %s", percentOf(v.DoneBytes, v.TotalBytes), size(v.DoneBytes), size(v.TotalBytes))
			return nil
		case "corrupted", "unreadable":
			bad++
		case "done":
			a.tick("")
		}
		return a.showVerify(v)
	})
	if err == nil && bad > 0 {
		return &node.Error{
			Code: "damaged", Message: count(bad, "file is", "files are") + " damaged", Exit: exitAttention,
			Hint: `"meerkat verify --repair" fetches them from members; look after the disk`,
		}
	}
	return err
}

func percentOf(done, total int64) int64 {
	return percent(node.Progress{DoneBytes: done, TotalBytes: max(total, 1)})
}

func (a *app) showVerify(v node.VerifyInfo) error {
	if a.json {
		return a.object(v)
	}
	if v.State == "done" {
		return a.print("verified\t%s\t%s\t%d damaged\t%d repaired", count(v.DoneFiles, "file", "files"), size(v.DoneBytes), v.Corrupted, v.Repaired)
	}
	return a.print("%s\t%s\t%s", v.State, shownPath(v.Path, v.PathB64), clean(v.Message))
}

// tick shows how far long work is, over the line before; on a terminal alone.
func (a *app) tick(format string, args ...any) {
	if a.quiet || a.json || !isTerminal(a.err) {
		return
	}
	a.say("\x1b[1A\x1b[2K"+format, args...)
}

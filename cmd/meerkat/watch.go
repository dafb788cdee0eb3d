package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// watch shows the status and each change of it until ctx ends: drawn over
// itself on a terminal, else a line for each pool that changed.
func (a *app) watch(ctx context.Context, b control.Backend) error {
	if a.wide && !a.json {
		return a.view(ctx, b)
	}
	last := map[string]string{}
	return b.Watch(ctx, func(s node.Status) error {
		s, err := a.only(s)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.object(s)
		}
		return a.changed(s, last)
	})
}

func (a *app) screen() (wide, high int) {
	if f, ok := a.out.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 1 {
			return w, h
		}
	}
	return 80, 24
}

// cut keeps a line from wrapping; colours take no room.
func cut(line string, wide int) string {
	room := wide
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			end := strings.IndexByte(line[i:], 'm')
			if end < 0 {
				return line[:i]
			}
			i += end + 1
			continue
		}
		r, n := utf8.DecodeRuneInString(line[i:])
		if room -= runewidth.RuneWidth(r); room < 0 {
			return line[:i] + "\x1b[0m"
		}
		i += n
	}
	return line
}

// changed prints a line for each pool whose line differs from its last one.
func (a *app) changed(s node.Status, last map[string]string) error {
	for _, p := range s.Pools {
		line := fmt.Sprintf("%s\t%s\t%s here\t%d needs you", clean(p.Name), p.State, amount(p.WantedHere), p.NeedsYou)
		if last[p.ID] == line {
			continue
		}
		last[p.ID] = line
		if err := a.print("%s", line); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) waitCmd() *cobra.Command {
	return command("wait [--timeout 60s]", "Block until this node and every member online want nothing more", "  meerkat wait --timeout 60s && echo in sync\n  meerkat wait --pool home", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.running(func(b control.Backend) error {
			stop := a.showProgress(ctx, b.Watch)
			defer stop()
			return b.Wait(ctx, a.pool)
		})
	})
}

package main

import (
	"context"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/spf13/cobra"
)

type completion = cobra.ShellCompDirective

func completeDirs(*cobra.Command, []string, string) ([]string, completion) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func completeRoles(*cobra.Command, []string, string) ([]string, completion) {
	return []string{"admin", "writer", "reader", "keeper"}, cobra.ShellCompDirectiveNoFileComp
}

// fromNode asks the running node for words; where none runs there are none.
func (a *app) fromNode(words func(context.Context, control.Backend) []string) ([]string, completion) {
	if a.prepare() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return words(ctx, control.NewClient(a.home)), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completePools(*cobra.Command, []string, string) ([]string, completion) {
	return a.fromNode(func(ctx context.Context, b control.Backend) (names []string) {
		ps, _ := b.Pools(ctx) // no pools, no words
		for _, p := range ps {
			names = append(names, clean(p.Name))
		}
		return names
	})
}

func (a *app) completeMembers(*cobra.Command, []string, string) ([]string, completion) {
	return a.fromNode(func(ctx context.Context, b control.Backend) (names []string) {
		ms, _ := b.Peers(ctx, a.pool) // no members, no words
		for _, m := range ms {
			names = append(names, clean(nameOf(m)))
		}
		return names
	})
}

func (a *app) completeRequests(*cobra.Command, []string, string) ([]string, completion) {
	return a.fromNode(func(ctx context.Context, b control.Backend) (ids []string) {
		rs, _ := b.Requests(ctx) // no requests, no words
		for _, r := range rs {
			ids = append(ids, r.ID)
		}
		return ids
	})
}

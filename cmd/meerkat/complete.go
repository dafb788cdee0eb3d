package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
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

// orFiles gives the words that begin as what was typed; where none does, the shell completes file names.
func orFiles(words []string, typed string) ([]string, completion) {
	words = slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, typed) })
	slices.Sort(words)
	return slices.Compact(words), cobra.ShellCompDirectiveDefault
}

// completeMembersOrFiles is for what takes a member or a path.
func (a *app) completeMembersOrFiles(c *cobra.Command, args []string, typed string) ([]string, completion) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := a.completeMembers(c, args, typed)
	return orFiles(names, typed)
}

// completePoolsAndMembers is for what takes either.
func (a *app) completePoolsAndMembers(c *cobra.Command, args []string, typed string) ([]string, completion) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	pools, _ := a.completePools(c, args, typed)
	members, how := a.completeMembers(c, args, typed)
	return append(pools, members...), how
}

// completeConflicts gives the paths that a conflict is about.
func (a *app) completeConflicts(_ *cobra.Command, args []string, typed string) ([]string, completion) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	paths, _ := a.fromNode(func(ctx context.Context, b control.Backend) (paths []string) {
		_ = b.Conflicts(ctx, a.pool, "", func(c node.ConflictInfo) error { paths = append(paths, clean(c.Path)); return nil }) // no answer, no words
		return paths
	})
	return orFiles(paths, typed)
}

// completeKeep gives what --keep of a conflict may be, files besides.
func (a *app) completeKeep(c *cobra.Command, _ []string, typed string) ([]string, completion) {
	names, _ := a.completeMembers(c, nil, typed)
	return orFiles(append(names, node.KeepBoth), typed)
}

// completeDeleted gives paths that somebody deleted, which no shell can know; files besides.
func (a *app) completeDeleted(_ *cobra.Command, args []string, typed string) ([]string, completion) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	paths, _ := a.fromNode(func(ctx context.Context, b control.Backend) []string {
		gone := map[string]bool{}
		_ = b.Log(ctx, node.LogRequest{Pool: a.pool}, func(c node.ChangeInfo) error { // no answer, no words
			if c.Kind != "dir" && strings.HasPrefix(c.Path, typed) {
				gone[clean(c.Path)] = c.Action == "deleted"
			}
			return nil
		})
		maps.DeleteFunc(gone, func(_ string, deleted bool) bool { return !deleted })
		return slices.Collect(maps.Keys(gone))
	})
	return orFiles(paths, typed)
}

package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) ignoreCmd() *cobra.Command {
	ls := command("ls", "List the rules that count now, the last that matches decides", "  meerkat ignore ls", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.running(func(b control.Backend) error { return a.listRules(ctx, b) })
	})
	c := group("ignore", "Rules for what is not synced, and what a path matches", `  meerkat ignore ls
  meerkat ignore test build/out.o
  meerkat ignore add '*.o'               # for everybody: .meerkatignore is synced
  meerkat ignore add --local 'videos/'   # on this node alone`, ls, a.ignoreTest(), a.ignoreAdd())
	c.RunE = func(c *cobra.Command, _ []string) error { return ls.RunE(c, nil) }
	return c
}

func (a *app) listRules(ctx context.Context, b control.Backend) error {
	rules, err := b.Rules(ctx, a.pool)
	if err != nil {
		return err
	}
	if a.json {
		return objects(a, rules)
	}
	rows := make([][]string, 0, len(rules))
	for _, r := range rules {
		rows = append(rows, []string{clean(r.Pattern), ruleText(r)})
	}
	return a.table([]string{"RULE", "FROM"}, rows)
}

// ruleText says where a rule stands.
func ruleText(r node.RuleInfo) string {
	if r.File == "" {
		return "built in"
	}
	return r.File + ":" + strconv.Itoa(r.Line)
}

func (a *app) ignoreTest() *cobra.Command {
	c := command("test PATH...", "Which rule decides about a path (exit 1 if one is not ignored)", "  meerkat ignore test build/out.o && echo ignored", takes(1, -1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			free := ""
			for _, arg := range args {
				info, err := a.testRule(ctx, b, arg)
				if err != nil {
					return err
				}
				if !info.Ignored {
					free = arg
				}
			}
			if free != "" {
				return &node.Error{Code: "not_ignored", Message: free + " is not ignored", Exit: exitFailed}
			}
			return nil
		})
	})
	c.ValidArgsFunction = nil // files
	return c
}

func (a *app) testRule(ctx context.Context, b control.Backend, arg string) (node.IgnoredInfo, error) {
	pool, path, err := a.place(ctx, b, arg)
	if err == nil && path == "" {
		err = usage("the root of a pool is never ignored", "name something in it")
	}
	if err != nil {
		return node.IgnoredInfo{}, err
	}
	if strings.HasSuffix(arg, "/") {
		path += "/"
	}
	info, err := b.Ignored(ctx, pool, path)
	switch {
	case err != nil:
		return info, err
	case a.json:
		return info, a.object(info)
	}
	verdict, why := "synced", "no rule matches"
	if info.Ignored {
		verdict = "ignored"
	}
	if info.Rule.Pattern != "" {
		why = ruleText(info.Rule) + "\t" + clean(info.Rule.Pattern)
	}
	return info, a.print("%s\t%s\t%s", verdict, shownPath(info.Path, info.PathB64), why)
}

func (a *app) ignoreAdd() *cobra.Command {
	var local bool
	c := command("add PATTERN", "Add a rule", "  meerkat ignore add '*.o'\n  meerkat ignore add --local 'videos/'", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			if err := b.AddRule(ctx, node.RuleRequest{Pool: a.pool, Pattern: args[0], Local: local}); err != nil {
				return err
			}
			if local {
				a.say("%s is ignored on this node; what of it is on other nodes stays in sync there", clean(args[0]))
			} else {
				a.say("%s is ignored by all members, as soon as they have the new .meerkatignore; no file is deleted for it", clean(args[0]))
			}
			return nil
		})
	})
	c.Long = "Add a rule, in the syntax of gitignore. What is ignored stays where it is on every node, and is not\nsynced any more; without the rule it is merged again, and nothing is deleted for it."
	c.Flags().BoolVar(&local, "local", false, "on this node alone (.meerkatignore.local)")
	return c
}

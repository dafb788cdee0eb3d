package main

import (
	"context"

	"github.com/spf13/cobra"
)

const helpText = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

// Examples come first: they are what most people open the help for.
const usageText = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}{{range $g := .Groups}}

{{$g.Title}}{{range $.Commands}}{{if and (eq .GroupID $g.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if and .HasAvailableSubCommands (not .Groups)}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if not .HasParent}}

Exit codes:
  0 done or healthy, 1 failed, 2 usage or needs --yes, 3 no node runs, 4 no such pool, node or path,
  5 not allowed for this role, 6 timed out or unreachable, 7 needs attention, 8 stopped by a guard,
  9 ticket bad, used or expired, 10 already so, 130 interrupted{{end}}
`

// newRoot is the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "meerkat",
		Short: "Keep a folder equal on all your machines, with no server in between",
		Example: `  meerkat up ~/Sync                     # here: make a pool of ~/Sync and run
  meerkat invite                        # here: a ticket for another machine
  meerkat up ~/Sync --join mkt1…        # there: join it and run
  meerkat status                        # is everything all right?`,
		Version:       buildVersion().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := a.prepare(); err != nil {
				return err
			}
			a.warnOfEnv()
			a.limit(c)
			return nil
		},
	}
	isGroup(root)
	root.SetFlagErrorFunc(badFlag)
	root.SetHelpTemplate(helpText)
	root.SetUsageTemplate(usageText)
	root.SetVersionTemplate("meerkat {{.Version}}\n")
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	a.globalFlags(root)
	a.addCommands(root)
	plainUse(root)
	return root
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.home, "home", "", "`DIR` of this node's identity and state (env MEERKAT_HOME)")
	f.StringVar(&a.pool, "pool", "", "which `POOL`: name, id or unique prefix")
	f.BoolVar(&a.json, "json", false, "answer in JSON")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "say nothing but the answer and errors")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say more")
	f.BoolVar(&a.noColor, "no-color", false, "no colours (env NO_COLOR)")
	f.BoolVar(&a.yes, "yes", false, "answer every question with yes")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this `DURATION`, such as 60s (exit 6)")
	_ = root.RegisterFlagCompletionFunc("pool", a.completePools) // fails only for a flag that is not there
}

func (a *app) addCommands(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: "everyday", Title: "Everyday:"},
		&cobra.Group{ID: "files", Title: "Files:"},
		&cobra.Group{ID: "people", Title: "People and machines:"},
		&cobra.Group{ID: "running", Title: "Running it:"},
	)
	in := func(group string, cs ...*cobra.Command) {
		for _, c := range cs {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	in("everyday", a.initCmd(), a.upCmd(), a.idCmd(), a.inviteCmd(), a.joinCmd(),
		a.requestsCmd(), a.approveCmd(), a.denyCmd(), a.statusCmd(), a.waitCmd())
	in("files", a.scanCmd(), a.logCmd())
	in("files", a.careCmds()...)
	in("files", a.heldCmd())
	in("people", a.peerCmd(), a.poolCmd(), a.pingCmd(), a.netcheckCmd())
	in("running", a.eventsCmd(), a.versionCmd())
	in("running", a.upkeepCmds()...)
	root.SetCompletionCommandGroupID("running")
	root.SetHelpCommandGroupID("running")
}

// plainUse keeps "[flags]" out of the usage lines: the flags stand below.
func plainUse(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	for _, sub := range c.Commands() {
		plainUse(sub)
	}
}

// limit gives the command the time of --timeout; up, which runs until it is
// stopped, has none.
func (a *app) limit(c *cobra.Command) {
	if a.timeout == 0 || c.Name() == "up" {
		return
	}
	ctx, cancel := context.WithTimeout(c.Context(), a.timeout)
	a.cancel = cancel
	c.SetContext(ctx)
}

// group is a command that only holds others.
func group(use, short, example string, cs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example}
	isGroup(c)
	c.AddCommand(cs...)
	return c
}

// command is a leaf of the tree.
func command(use, short, example string, args cobra.PositionalArgs, f func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Args: args,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, args []string) error { return f(c.Context(), args) },
	}
}

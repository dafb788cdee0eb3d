package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes, as CLI.md promises them to scripts.
const (
	exitFailed      = 1   // failed
	exitUsage       = 2   // usage, or needs --yes
	exitNotFound    = 4   // no such pool, node or path
	exitNotAllowed  = 5   // not allowed for this role or user
	exitUnreachable = 6   // timed out, or peer unreachable
	exitAttention   = 7   // needs attention
	exitTicket      = 9   // ticket bad, used or expired
	exitAlready     = 10  // already so
	exitInterrupted = 130 // interrupted
)

// finish tells err, in the form asked for, and gives its exit code.
func (a *app) finish(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(context.Cause(ctx), errInterrupted) && isCancel(err) {
		err = &node.Error{Code: "interrupted", Message: "interrupted", Exit: exitInterrupted}
	}
	e := control.Flat(err)
	if a.json {
		fmt.Fprintf(a.err, "%s\n", control.MarshalError(e))
		return e.Exit
	}
	fmt.Fprintf(a.err, "meerkat: %s\n", clean(e.Message))
	if e.Hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", clean(e.Hint))
	}
	return e.Exit
}

// isCancel reports an end by interruption, here or as the node saw it.
func isCancel(err error) bool {
	var e *node.Error
	return errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) || errors.As(err, &e) && e.Code == "stopped"
}

func usage(message, hint string) error {
	return &node.Error{Code: "usage", Message: message, Hint: hint, Exit: exitUsage}
}

// takes checks the number of arguments; most < 0 is any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		hint := "usage: " + c.UseLine()
		switch {
		case len(args) < least:
			return usage(c.CommandPath()+" needs more arguments", hint)
		case most >= 0 && len(args) > most:
			return usage(fmt.Sprintf("%s does not know what to do with %q", c.CommandPath(), args[most]), hint)
		}
		return nil
	}
}

// isGroup makes c a command that only holds others.
func isGroup(c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

func unknownCommand(c *cobra.Command, name string) error {
	c.SuggestionsMinimumDistance = 2
	hint := fmt.Sprintf("%q lists the commands", c.CommandPath()+" --help")
	if s := c.SuggestionsFor(name); len(s) > 0 {
		hint = "did you mean " + oneOf(s) + "?"
	}
	return usage(fmt.Sprintf("%s has no command %q", c.CommandPath(), name), hint)
}

// badFlag explains an error of the flags.
func badFlag(c *cobra.Command, err error) error {
	if c.HasSubCommands() && c.Flags().NArg() > 0 {
		return unknownCommand(c, c.Flags().Arg(0))
	}
	hint := fmt.Sprintf("%q shows what it takes", c.CommandPath()+" --help")
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if f := node.Nearest(unknown.GetSpecifiedName(), flagNames(c)); f != "" {
			hint = fmt.Sprintf("did you mean %q?", "--"+f)
		}
	}
	return usage(err.Error(), hint)
}

func flagNames(c *cobra.Command) (names []string) {
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func oneOf(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, " or ")
}

// lastWords ends the process where the state cannot be written any more: going on could only promise what would be lost.
func (a *app) lastWords(err error) {
	os.Exit(a.finish(context.Background(), &node.Error{
		Code: "state_unwritable", Message: "the state cannot be written any more", Err: err, Exit: exitFailed,
		Hint: "look after the disk that holds the home, and start again: what was told to others is safe",
	}))
}

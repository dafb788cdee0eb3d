package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"golang.org/x/term"
)

// app is one call of the program: its streams and its global flags.
type app struct {
	stdio
	home, pool             string
	json, quiet, verbose   bool
	noColor, yes           bool
	timeout                time.Duration
	wide, colour, terminal bool // of stdout: a terminal; one with colour. terminal: of stdin and stderr
	cancel                 context.CancelFunc
}

func newApp(std stdio, args []string) *app {
	a := &app{stdio: std, cancel: func() {}}
	// So that an error in the flags themselves is told in the form asked for.
	a.json = slices.Contains(args, "--json")
	a.wide = isTerminal(std.out)
	a.terminal = isTerminal(std.in) && isTerminal(std.err)
	return a
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// prepare settles what follows from the flags and the environment.
func (a *app) prepare() error {
	a.colour = a.wide && !a.noColor && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
	if a.timeout < 0 {
		return usage("--timeout is negative", "give a duration such as 30s")
	}
	if a.quiet && a.verbose {
		return usage("--quiet and --verbose exclude each other", "give one of them")
	}
	if a.home == "" {
		a.home = a.getenv("MEERKAT_HOME")
	}
	if a.home == "" {
		a.home = node.DefaultHome(a.env)
	}
	if a.home == "" {
		return usage("there is no home directory to keep the node's state in", "set HOME, or give --home DIR")
	}
	home, err := filepath.Abs(a.home)
	a.home = home
	return err
}

// warnOfEnv says which variables were probably meant to be read. They stop nothing: they may be somebody else's.
func (a *app) warnOfEnv() {
	for _, m := range node.MistypedEnv(a.environ, "MEERKAT_HOME", "MEERKAT_DIR", "MEERKAT_TICKET_FILE", "MEERKAT_BOOT_ROOT") {
		hint := "\"meerkat config ls\" lists the settings"
		if m.Meant != "" {
			hint = "did you mean " + m.Meant + "?"
		}
		a.say("meerkat: nothing reads the environment variable %s\nhint: %s", clean(m.Name), hint)
	}
}

func (a *app) getenv(name string) string {
	v, _ := a.env(name)
	return v
}

// running calls f with the running node; where none runs the error exits 3.
func (a *app) running(f func(control.Backend) error) error { return f(control.NewClient(a.home)) }

// anywhere calls f with the running node or, where none runs, with the home.
func (a *app) anywhere(ctx context.Context, f func(control.Backend) error) error {
	b, done, err := a.backend(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(b), done())
}

// backend finds who holds the home. A node that is starting (or another
// command) has the lock but no socket yet, so both are tried for a while.
func (a *app) backend(ctx context.Context) (control.Backend, func() error, error) {
	for until := time.Now().Add(lockPatience); ; {
		c := control.NewClient(a.home)
		if c.Running(ctx) {
			return c, func() error { return nil }, nil
		}
		h, err := a.openHome(nil)
		if err == nil {
			return newOffline(h), h.Close, nil
		}
		if !isLocked(err) || time.Now().After(until) {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// secret gives a ticket from the argument, from a file, or from stdin for "-".
func (a *app) secret(arg, file string) (string, error) {
	const most = 64 << 10
	var src io.Reader
	switch {
	case file != "" && arg != "":
		return "", usage("a ticket and --ticket-file exclude each other", "give one of them")
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return "", &node.Error{Code: "no_file", Message: "cannot read the ticket", Hint: "check --ticket-file", Exit: exitNotFound, Err: err}
		}
		defer f.Close()
		src = f
	case arg == "-":
		src = a.in
	default:
		return arg, nil
	}
	b, err := io.ReadAll(io.LimitReader(src, most))
	return string(trimSpace(b)), err
}

// confirm asks before something that cannot be taken back.
func (a *app) confirm(what string) error {
	if a.yes {
		return nil
	}
	if !a.terminal {
		return &node.Error{Code: "needs_yes", Message: what + " needs a yes", Hint: "there is no terminal to ask on: add --yes", Exit: exitUsage}
	}
	yes, err := a.ask(what + "? [y/N] ")
	if err != nil || yes {
		return err
	}
	return &node.Error{Code: "declined", Message: "not done", Hint: "nothing was changed", Exit: exitFailed}
}

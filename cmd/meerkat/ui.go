package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/control/ui"
)

const (
	leastPassword = 10      // characters
	mostPassword  = 1 << 10 // bytes
)

func (a *app) uiCmd() *cobra.Command {
	var password, stay bool
	c := command("ui", "Open the dashboard", `  meerkat ui                        # in the browser; prints the link
  ssh -L 7717:127.0.0.1:7717 pi     # the dashboard of another machine: open the link
                                    # that "meerkat ui" prints there
  meerkat ui --set-password         # needed before others may reach it (ui.addr)`, takes(0, 0), func(ctx context.Context, _ []string) error {
		if password {
			return a.setPassword(ctx)
		}
		return a.running(func(b control.Backend) error { return a.openDash(ctx, b, !stay) })
	})
	c.Long = "Print a link that opens the dashboard, and open it where there is a browser. The link logs in once,\nwithin five minutes; each call gives a new one."
	c.Flags().BoolVar(&password, "set-password", false, "ask for a password (or read it from stdin) that opens the dashboard as well")
	c.Flags().BoolVar(&stay, "no-open", false, "only print the link")
	return c
}

func (a *app) openDash(ctx context.Context, b control.Backend, open bool) error {
	d, err := b.Dashboard(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.object(d)
	}
	if err := a.print("%s", d.URL); err != nil {
		return err
	}
	a.say("it logs in once, until %s", d.Expires.Local().Format(time.TimeOnly))
	if !open || !a.wide || !a.browse(ctx, d.URL) {
		return nil
	}
	a.say("opened in the browser")
	return nil
}

// browse opens a link in this desktop's browser, and reports whether there is one.
func (a *app) browse(ctx context.Context, url string) bool {
	words := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		words = []string{"open"}
	case "windows":
		words = []string{"rundll32", "url.dll,FileProtocolHandler"}
	default:
		if a.getenv("DISPLAY")+a.getenv("WAYLAND_DISPLAY") == "" {
			return false
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, words[0], append(words[1:], url)...).Run() == nil
}

// setPassword writes the hash of a password into the settings.
func (a *app) setPassword(ctx context.Context) error {
	p, err := a.newPassword()
	if err != nil {
		return err
	}
	if len([]rune(p)) < leastPassword || len(p) > mostPassword {
		return usage(fmt.Sprintf("the password has fewer than %d characters, or very many", leastPassword), "a few words are easy to keep in mind")
	}
	return a.anywhere(ctx, func(b control.Backend) error {
		if _, err := b.SetSetting(ctx, "ui.password", []string{ui.HashPassword(p)}); err != nil {
			return err
		}
		a.say("the password is set; take it away with \"meerkat config unset ui.password\"")
		return nil
	})
}

// newPassword asks twice on a terminal, else reads a line.
func (a *app) newPassword() (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !a.terminal {
		line, err := bufio.NewReader(io.LimitReader(a.in, mostPassword+2)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	var typed [2]string
	for i, question := range []string{"password: ", "again: "} {
		fmt.Fprint(a.err, question)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.err)
		if err != nil {
			return "", err
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", usage("the two are not the same", "try again")
	}
	return typed[0], nil
}

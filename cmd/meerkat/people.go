package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

func (a *app) idCmd() *cobra.Command {
	var asQR bool
	c := command("id [--qr]", "This node's id and, when it runs, its addresses", "  meerkat id\n  meerkat id --qr", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			id, err := b.Identity(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.object(id)
			}
			if asQR {
				if err := a.qr(id.ID); err != nil {
					return err
				}
			}
			return a.print("%s", strings.Join(append([]string{id.ID}, id.Addrs...), "\n"))
		})
	})
	c.Flags().BoolVar(&asQR, "qr", false, "show it as a QR code too")
	return c
}

func (a *app) inviteCmd() *cobra.Command {
	var r node.InviteRequest
	var asQR bool
	c := command("invite [--role R] [--expires 24h] [--uses 1] [--qr]", "Make a ticket that lets another machine in", `  meerkat invite
  meerkat invite --role reader --expires 1h --qr`, takes(0, 0), func(ctx context.Context, _ []string) error {
		if r.Expires <= 0 || r.Uses < 1 {
			return usage("a ticket needs time and at least one use", "try --expires 24h --uses 1")
		}
		r.Pool = a.pool
		return a.anywhere(ctx, func(b control.Backend) error {
			t, err := b.Invite(ctx, r)
			if err != nil {
				return err
			}
			return a.showTicket(t, asQR)
		})
	})
	c.Flags().StringVar(&r.Role, "role", "writer", "what the guest may do: `admin|writer|reader|keeper`")
	c.Flags().DurationVar(&r.Expires, "expires", 24*time.Hour, "the ticket is good for this `DURATION`")
	c.Flags().IntVar(&r.Uses, "uses", 1, "`N` machines may use it")
	c.Flags().BoolVar(&asQR, "qr", false, "show it as a QR code too")
	_ = c.RegisterFlagCompletionFunc("role", completeRoles)
	return c
}

func (a *app) showTicket(t node.TicketInfo, asQR bool) error {
	if a.json {
		return a.object(t)
	}
	if asQR {
		if err := a.qr(t.Ticket); err != nil {
			return err
		}
	}
	if err := a.print("%s", t.Ticket); err != nil {
		return err
	}
	a.say("good for %s as %s of %s until %s; there: meerkat up DIR --join TICKET",
		count(int64(t.Uses), "machine", "machines"), t.Role, clean(t.Pool), a.when(t.Expires))
	return nil
}

func (a *app) requestsCmd() *cobra.Command {
	return command("requests", "Who asks to be let in", "  meerkat requests", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.running(func(b control.Backend) error {
			if _, err := a.poolID(ctx, b); err != nil {
				return err
			}
			rs, err := b.Requests(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return objects(a, rs)
			}
			rows := make([][]string, len(rs))
			for i, r := range rs {
				rows[i] = []string{r.ID, clean(r.Name), a.when(r.Since), clean(r.Addr), strings.Join(r.Words, " ")}
			}
			if err := a.table([]string{"ID", "NAME", "SINCE", "FROM", "WORDS"}, rows); err != nil {
				return err
			}
			if len(rs) > 0 {
				a.say(`the screen of who asks shows the same words: compare them, then "meerkat approve" or "meerkat deny"`)
			}
			return nil
		})
	})
}

func (a *app) approveCmd() *cobra.Command {
	var role string
	c := command("approve NODE [--role R]", "Let a node in that asked", "  meerkat approve pi --role keeper", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error {
			m, err := b.Approve(ctx, a.pool, who(args[0]), role)
			if err != nil {
				return err
			}
			if a.json {
				return a.object(m)
			}
			a.say("%s is in as %s%s", clean(nameOf(m)), m.Role, shownWords(m.Words))
			return nil
		})
	})
	c.Flags().StringVar(&role, "role", "writer", "what it may do: `admin|writer|reader|keeper`")
	_ = c.RegisterFlagCompletionFunc("role", completeRoles)
	c.ValidArgsFunction = a.completeRequests
	return c
}

// shownWords recalls the words of a request, which a stranger's screen does not
// show.
func shownWords(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return fmt.Sprintf(" (words: %s; if its screen shows others: meerkat peer rm)", strings.Join(words, " "))
}

func (a *app) denyCmd() *cobra.Command {
	c := command("deny NODE", "Refuse a node that asked", "  meerkat deny 12D3KooWAbc", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.running(func(b control.Backend) error { return b.Deny(ctx, who(args[0])) })
	})
	c.ValidArgsFunction = a.completeRequests
	return c
}

func (a *app) pingCmd() *cobra.Command {
	var times int
	c := command("ping NODE [-c N]", "How far away a member is, and over what", "  meerkat ping pi -c 3", takes(1, 1), func(ctx context.Context, args []string) error {
		if times < 1 {
			return usage("-c needs at least 1", "try -c 3")
		}
		return a.running(func(b control.Backend) error { return a.pings(ctx, b, who(args[0]), times) })
	})
	c.Flags().IntVarP(&times, "count", "c", 1, "`N` times, a second apart")
	c.ValidArgsFunction = a.completeMembers
	return c
}

// pings fails where none of them came back.
func (a *app) pings(ctx context.Context, b control.Backend, name string, times int) error {
	back, why, to := 0, "", name
	if a.pool != "" {
		m, err := b.Peer(ctx, a.pool, name)
		if err != nil {
			return err
		}
		to = m.ID
	}
	for i := range times {
		if i > 0 && !pause(ctx, time.Second) {
			return ctx.Err()
		}
		p, err := b.Ping(ctx, to)
		if err != nil {
			return err
		}
		if p.OK {
			back++
		} else {
			why = p.Why
		}
		if err := a.showPing(name, p); err != nil {
			return err
		}
	}
	if back > 0 {
		return nil
	}
	if why == "" {
		why = "no answer"
	}
	return &node.Error{Code: "unreachable", Message: "cannot reach " + clean(name) + " (" + clean(why) + ")", Hint: "is it running? it needs a network that leads here", Exit: exitUnreachable}
}

func (a *app) showPing(name string, p node.PingInfo) error {
	switch {
	case a.json && p.OK:
		return a.object(p)
	case p.OK:
		rtt := fmt.Sprintf("%d ms", p.RTTms)
		if p.RTTms == 0 {
			rtt = "<1 ms"
		}
		link := p.Link
		link.RTTms = 0 // it is said already
		return a.print("%s\t%s\t%s%s", clean(name), rtt, linkText(link), linkWhy(p.Link))
	}
	return nil // the error says it, and stdout stays empty
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

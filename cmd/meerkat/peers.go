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

func (a *app) peerCmd() *cobra.Command {
	return group("peer", "The members of a pool", "  meerkat peer ls\n  meerkat peer role pi keeper",
		a.peerLsCmd(), a.peerShowCmd(), a.peerAddCmd(), a.peerRmCmd(), a.peerRenameCmd(), a.peerRoleCmd())
}

func (a *app) peerLsCmd() *cobra.Command {
	return command("ls", "List the members", "  meerkat peer ls --json", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			ms, err := b.Peers(ctx, a.pool)
			if err != nil {
				return err
			}
			if a.json {
				return objects(a, withSchema(ms))
			}
			rows := make([][]string, len(ms))
			for i, m := range ms {
				rows[i] = []string{clean(nameOf(m)), m.Role, presence(m), linkText(m.Link), a.fitID(m.ID)}
			}
			return a.table([]string{"NAME", "ROLE", "STATE", "LINK", "ID"}, rows)
		})
	})
}

// fitID is an id for the last column of a table: whole, but on a terminal too
// narrow for it; "peer show" has it then.
func (a *app) fitID(id string) string {
	if wide, _ := a.screen(); a.wide && wide < 100 {
		return short(id) + "…"
	}
	return id
}

// withSchema marks members that stand alone, outside a status.
func withSchema(ms []node.Member) []node.Member {
	for i := range ms {
		ms[i].Schema = node.SchemaMember
	}
	return ms
}

func nameOf(m node.Member) string {
	if m.Name == "" {
		return short(m.ID)
	}
	return m.Name
}

// presence says where a member is.
func presence(m node.Member) string {
	switch {
	case m.Self:
		return "this node"
	case m.Online:
		return "online"
	case m.LastSeen != nil && time.Now().Before(*m.LastSeen):
		return "seen just now" // the clocks differ
	case m.LastSeen != nil:
		return "seen " + ago(*m.LastSeen)
	}
	return "never seen"
}

// linkText says how a member is reached.
func linkText(l node.Link) string {
	if l.Kind == "" || l.Kind == "none" {
		return ""
	}
	words := []string{l.Kind}
	if l.Transport != "" {
		words = append(words, l.Transport)
	}
	if l.RTTms > 0 {
		words = append(words, fmt.Sprintf("%d ms", l.RTTms))
	}
	return clean(strings.Join(words, " "))
}

func (a *app) peerShowCmd() *cobra.Command {
	c := command("show NODE", "Show one member", "  meerkat peer show pi", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			m, err := b.Peer(ctx, a.pool, who(args[0]))
			if err != nil {
				return err
			}
			if a.json {
				return a.object(withSchema([]node.Member{m})[0])
			}
			return a.print("name\t%s\nid\t%s\nrole\t%s\nstate\t%s\nlink\t%s\naddress\t%s\nmissing there\t%s%s",
				clean(m.Name), m.ID, m.Role, presence(m), linkText(m.Link), clean(m.Link.Addr), amount(m.MissingThere), linkWhy(m.Link))
		})
	})
	c.ValidArgsFunction = a.completeMembers
	return c
}

func amount(n node.Amount) string {
	if n.Files == 0 && n.Bytes == 0 {
		return "nothing"
	}
	return count(n.Files, "file", "files") + " (" + size(n.Bytes) + ")"
}

func (a *app) peerAddCmd() *cobra.Command {
	return command("add MULTIADDR", "Always try this address", "  meerkat peer add /ip4/192.168.1.7/tcp/7716/p2p/12D3KooW…", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error { return b.PeerAdd(ctx, args[0]) })
	})
}

func (a *app) peerRmCmd() *cobra.Command {
	c := command("rm NODE", "Take a member out of the pool", "  meerkat peer rm old-laptop", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error {
			m, err := b.Peer(ctx, a.pool, who(args[0]))
			if err != nil {
				return err
			}
			if err := a.confirm("removing " + clean(nameOf(m)) + " from the pool"); err != nil {
				return err
			}
			if err := b.PeerRemove(ctx, a.pool, m.ID); err != nil {
				return err
			}
			a.say("%s is out; what it already has, it keeps", clean(nameOf(m)))
			return nil
		})
	})
	c.ValidArgsFunction = a.completeMembers
	return c
}

func (a *app) peerRenameCmd() *cobra.Command {
	c := command("rename NODE NAME", "Give a member another name, for all members", "  meerkat peer rename 12D3KooWAbc pi", takes(2, 2), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error { return b.PeerRename(ctx, a.pool, who(args[0]), args[1]) })
	})
	c.ValidArgsFunction = a.completeMembers
	return c
}

func (a *app) peerRoleCmd() *cobra.Command {
	c := command("role NODE ROLE", "Give a member another role: admin, writer, reader or keeper", "  meerkat peer role pi keeper", takes(2, 2), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error { return b.PeerRole(ctx, a.pool, who(args[0]), args[1]) })
	})
	c.ValidArgsFunction = func(c *cobra.Command, args []string, to string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return completeRoles(c, args, to)
		}
		return a.completeMembers(c, args, to)
	}
	return c
}

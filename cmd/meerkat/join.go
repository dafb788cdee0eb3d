package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"
)

// How long a join waits for its answer where --timeout does not say; it stays
// pending afterwards, and the node goes on asking.
const (
	ticketPatience  = time.Minute
	requestPatience = 10 * time.Second // a person has to approve: no use in waiting long
)

func (a *app) joinCmd() *cobra.Command {
	var file, name string
	c := command("join TICKET|ID|- DIR", "Join a pool", `  meerkat join mkt1… ~/Sync                       # with a ticket: in at once
  meerkat join --ticket-file ticket.txt ~/Sync
  meerkat join 12D3KooW… ~/Sync                   # by id: the other side approves`, takes(1, 2), func(ctx context.Context, args []string) error {
		if (file == "") == (len(args) == 1) {
			return usage("join needs a ticket or an id, and a folder", "usage: meerkat join TICKET|ID|- DIR")
		}
		r, err := a.joinRequest(strings.Join(args[:len(args)-1], ""), file, args[len(args)-1])
		if err != nil {
			return err
		}
		r.Name = name
		return a.join(ctx, r)
	})
	c.Flags().StringVar(&file, "ticket-file", "", "read the ticket from this `FILE`")
	c.Flags().StringVar(&name, "name", "", "the `NAME` that this node goes by (default: the machine's)")
	c.ValidArgsFunction = completeDirs
	return c
}

// joinRequest reads what follows join: whom to ask, and where the files go.
func (a *app) joinRequest(arg, file, dir string) (node.JoinRequest, error) {
	key, err := a.secret(arg, file)
	if err != nil {
		return node.JoinRequest{}, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return node.JoinRequest{}, err
	}
	switch {
	case strings.HasPrefix(key, "mkt1"):
		return node.JoinRequest{Ticket: key, Dir: dir}, nil
	case isNode(key):
		return node.JoinRequest{Node: key, Dir: dir}, nil
	}
	// A ticket that lost its first letters is more likely than an id that did.
	return node.JoinRequest{}, &node.Error{
		Code: "ticket_damaged", Exit: exitTicket, Message: "this is neither a ticket nor a node's id",
		Hint: `a ticket begins with mkt1, an id with 12D3KooW: was all of it copied?`,
	}
}

// isNode reports a peer id, or an address that ends in one.
func isNode(s string) bool {
	_, err := peer.Decode(who(s))
	return err == nil
}

// who gives the id where an address that ends in one stands for a node, and
// all else as it is.
func who(s string) string {
	addr, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		return s
	}
	if info, err := peer.AddrInfoFromP2pAddr(addr); err == nil {
		return info.ID.String()
	}
	return s
}

func (a *app) join(ctx context.Context, r node.JoinRequest) error {
	ctx, cancel := a.patient(ctx, patience(r))
	defer cancel()
	return a.anywhere(ctx, func(b control.Backend) error {
		p, words, err := a.joining(ctx, b, r)
		if a.onlyAsked(r, err) {
			a.say("%s", clean(control.Flat(err).Message))
			p, err = node.PoolInfo{Schema: node.SchemaPool, Name: filepath.Base(r.Dir), Path: r.Dir, Role: "none", Pending: true}, nil
		}
		if err != nil {
			return err
		}
		if p.Words == nil {
			p.Words = words
		}
		return a.showJoined(r, p)
	})
}

// onlyAsked reports a join by id that has done what it can: a person has to
// approve, and unless the caller said how long to wait for that, asking is all.
func (a *app) onlyAsked(r node.JoinRequest, err error) bool {
	e, ok := errors.AsType[*node.Error](err)
	return ok && e.Code == "join_pending" && r.Ticket == "" && a.timeout == 0
}

func patience(r node.JoinRequest) time.Duration {
	if r.Ticket == "" {
		return requestPatience
	}
	return ticketPatience
}

func (a *app) showJoined(r node.JoinRequest, p node.PoolInfo) error {
	switch {
	case p.Pending && r.Ticket == "":
		a.say(`asked; the other side lets you in with "meerkat approve"; a running node goes on asking`)
	case p.Pending:
		a.say(`not in yet: a running node ("meerkat up") goes on trying until it is admitted or refused`)
	default:
		a.say("joined %s as %s", clean(p.Name), p.Role)
	}
	if a.json {
		return a.object(p)
	}
	return a.print("%s\t%s", clean(p.Name), clean(p.Path))
}

// Command meerkat-evil is a member of a pool that lies: it speaks our protocols
// below the API, with the identity and memberships of a real node's home, so
// that tests can watch what honest nodes make of it. It is no part of the
// product, and attacks nobody but the addresses it is given.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// kinds are the misbehaviours by their name.
var kinds = map[string]func(context.Context, *self) error{
	"path-escape":  pathEscape,
	"equivocate":   equivocate,
	"forge-author": forgeAuthor,
	"bad-chunk":    badChunk,
	"bomb":         bomb,
	"flood":        flood,
	"replay":       replay,
	"siblings":     siblings,
	"huge-clock":   hugeClock,
	"stranger":     stranger,
}

func main() { os.Exit(run(os.Args[1:])) }

// options are the command line.
type options struct {
	kind, home, target, other string
	length                    time.Duration
}

func parse(args []string) (options, error) {
	var o options
	names := make([]string, 0, len(kinds))
	for k := range kinds {
		names = append(names, k)
	}
	slices.Sort(names)
	usage := "meerkat-evil KIND --home HOME --target MULTIADDR [--other MULTIADDR] [--for 30s]\nKIND: " + strings.Join(names, ", ")
	if len(args) == 0 || kinds[args[0]] == nil {
		return o, errors.New(usage)
	}
	o.kind = args[0]
	fs := flag.NewFlagSet("meerkat-evil", flag.ContinueOnError)
	fs.StringVar(&o.home, "home", "", "home of the node to act as")
	fs.StringVar(&o.target, "target", "", "multiaddr of the node to attack, with /p2p/ID")
	fs.StringVar(&o.other, "other", "", "multiaddr of a second one")
	fs.DurationVar(&o.length, "for", 30*time.Second, "how long")
	if err := fs.Parse(args[1:]); err != nil {
		return o, err
	}
	if o.home == "" || o.target == "" || fs.NArg() > 0 {
		return o, errors.New(usage)
	}
	return o, nil
}

func run(args []string) int {
	o, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.length)
	defer cancel()
	s, err := enter(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "meerkat-evil:", err)
		return 1
	}
	defer s.close()
	if err := kinds[o.kind](ctx, s); err != nil {
		s.say("%s: %v", o.kind, err)
		return 1
	}
	<-ctx.Done()
	s.say("done: %s", s.tally())
	return 0
}

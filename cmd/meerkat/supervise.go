package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/node"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"
)

// tell tells the service manager; without one there is nobody to tell, and a word that it does not get costs nothing.
// States of one call arrive together.
func tell(states ...string) {
	_, _ = daemon.SdNotify(false, strings.TrimSpace(strings.Join(states, "\n")))
}

// supervised keeps a service manager informed until ctx ends, where one asks for it.
func supervised(ctx context.Context, g *errgroup.Group, n *node.Node, log *slog.Logger) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	g.Go(func() error { tellStatus(ctx, n.Watch); return nil })
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog of the service manager is not fed", "err", err)
	}
	if every > 0 {
		g.Go(func() error { feedWatchdog(ctx, every/2, n.Alive, log); return nil })
	}
}

// feedWatchdog tells twice in each interval that the node is alive, for as long as its loops move: one that is stuck is
// not spoken for, and the service manager starts the node anew.
func feedWatchdog(ctx context.Context, every time.Duration, alive func() error, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for told := false; ; {
		err := alive()
		if err == nil {
			tell(daemon.SdNotifyWatchdog)
		} else if !told {
			log.Error("the watchdog is not fed any more", "err", err)
			tell("STATUS=stuck: " + clean(err.Error()))
		}
		told = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tellStatus shows in one line what `status` says, whenever that changes.
func tellStatus(ctx context.Context, watch func(context.Context, func(node.Status) error) error) {
	last := ""
	_ = watch(ctx, func(s node.Status) error { // ends with ctx
		if line := statusLine(s); line != last {
			last = line
			tell("STATUS=" + line)
		}
		return nil
	})
}

// statusLine is the state of all pools on one line.
func statusLine(s node.Status) string {
	var words []string
	for _, p := range s.Pools {
		here, others := 0, 0
		for _, m := range p.Members {
			if m.Self {
				continue
			}
			others++
			if m.Online {
				here++
			}
		}
		line := fmt.Sprintf("%s %s, %d of %s online", clean(p.Name), strings.ReplaceAll(p.State, "_", " "), here, count(int64(others), "other member", "other members"))
		if p.NeedsYou > 0 {
			line += ", needs you: " + needs(p)
		}
		words = append(words, line)
	}
	for _, j := range s.Joining {
		words = append(words, clean(j.Name)+" waits to be admitted")
	}
	if len(words) == 0 {
		return "no pool yet"
	}
	return strings.Join(words, "; ")
}

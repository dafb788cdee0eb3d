package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sync/errgroup"
)

// stopWithin is how long a stop may take. What is not done then is abandoned,
// which is safe: it is no different from a power cut.
const stopWithin = 4500 * time.Millisecond

var errAbandoned = errors.New("the node did not stop in time")

// wish is the pool that up is to have, where dir is not "".
type wish struct{ dir, ticket, file string }

// up runs the node on its home until ctx ends.
func (a *app) up(ctx context.Context, flags map[string][]string, w wish) error {
	home, err := a.claimHome(ctx, flags)
	if err != nil {
		return err
	}
	err = a.firstStart(ctx, home, w)
	if err == nil {
		err = a.run(ctx, home)
	}
	if errors.Is(err, errAbandoned) {
		a.say("meerkat: %v; what was under way is taken up at the next start", errAbandoned)
		return nil // and the home stays open: somebody still uses it
	}
	return errors.Join(err, home.Close())
}

// fulfil makes or joins the pool of w.dir, unless there is one.
func (a *app) fulfil(ctx context.Context, home *node.Home, w wish) error {
	if w.dir == "" {
		return nil
	}
	dir, err := filepath.Abs(w.dir)
	if err != nil {
		return err
	}
	all, err := home.PoolList(ctx)
	if err != nil {
		return err
	}
	// Those that wait to be admitted count too: joining what is asked for, not making another.
	if slices.ContainsFunc(all, func(p node.PoolInfo) bool { return slices.Contains(spellings(dir), p.Path) }) {
		return nil
	}
	if w.ticket+w.file == "" {
		p, err := home.Init(ctx, dir, "")
		if err == nil {
			a.say("made pool %s of %s", clean(p.Name), clean(p.Path))
		}
		return err
	}
	r, err := a.joinRequest(w.ticket, w.file, dir)
	if err != nil {
		return err
	}
	j, err := home.NoteJoin(r)
	if err == nil {
		a.say("joining %s into %s: it is tried until it is admitted or refused", clean(j.Info().Name), clean(dir))
	}
	return err
}

// run runs the node, its front door and its dashboard.
func (a *app) run(ctx context.Context, home *node.Home) error {
	b, set := &bars{out: a.err}, home.Settings()
	if err := set.CheckUI(); err != nil {
		return err
	}
	journal, _ := journal.StderrIsJournalStream() // where that cannot be seen it is not
	log := newLogs(b, set, journal)
	log.takeLibp2p(set)
	counts, scraped := newMetrics(log.Logger, set)
	if scraped != nil {
		defer scraped.Close() // as with those below
	}
	conf := node.Config{
		Home: home, Log: log.Logger, Listen: set.Listen, Peers: set.Peers, Bootstrap: set.Bootstrap,
		DHT: set.DHT, MDNS: set.MDNS, Relay: set.Relay, Name: set.Name, Applied: log.follow,
	}
	if scraped != nil {
		conf.Metrics, conf.Delivered = counts.Registry, counts.Delivered
	}
	n, err := node.New(conf)
	if err != nil {
		return err
	}
	dash := openListener(log.Logger, "ui.addr", set.UIAddr)
	if dash != nil {
		defer dash.Close() // as with the other below
	}
	f, err := newFront(n, home, dash, log)
	if err != nil {
		return err
	}
	l, err := control.Listen(a.home)
	if err != nil {
		return err
	}
	defer l.Close() // of use where the node never got ready; else Serve has closed it
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	defer signal.Stop(hups)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { trim(ctx); return nil })
	g.Go(func() error {
		return n.Run(ctx, func() {
			g.Go(func() error { return control.Serve(ctx, l, f, log.Logger) })
			g.Go(func() error { return f.dash.Serve(ctx) })
			g.Go(func() error { return counts.Serve(ctx, scraped, n, log.Logger) })
			g.Go(func() error { reloads(ctx, n, log.Logger, hups); return nil })
			supervised(ctx, g, n, log.Logger)
			if a.hasBars() {
				g.Go(func() error { b.follow(ctx, n.Watch); return nil })
			}
			ready(ctx, n, b)
		})
	})
	return awaitStop(ctx, g)
}

// identity and reloader are what ready and reloads need of a node.
type (
	identity interface {
		Identity(context.Context) (node.IDInfo, error)
	}
	reloader interface{ Reload(context.Context) error }
)

// ready tells whoever started us that the node serves.
func ready(ctx context.Context, b identity, w io.Writer) {
	id, err := b.Identity(ctx)
	if err != nil {
		return // it is stopping already
	}
	fmt.Fprintf(w, "ready %s\n", id.ID)
	tell(daemon.SdNotifyReady)
}

// reloads reads the configuration again at each SIGHUP.
func reloads(ctx context.Context, b reloader, log *slog.Logger, hups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hups:
		}
		tell(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
		if err := b.Reload(ctx); err != nil {
			log.Error("reload", "err", err)
		} else {
			log.Info("configuration read again")
		}
		tell(daemon.SdNotifyReady)
	}
}

// awaitStop waits for the node; once it has been told to stop, not for ever.
func awaitStop(ctx context.Context, g *errgroup.Group) error {
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	tell(daemon.SdNotifyStopping, "STATUS=stopping")
	select {
	case err := <-done:
		if errors.Is(context.Cause(ctx), errInterrupted) && isCancel(err) {
			return nil
		}
		return err
	case <-time.After(stopWithin):
		return errAbandoned
	}
}

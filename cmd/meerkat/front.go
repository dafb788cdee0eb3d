package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/control/metrics"
	"github.com/bwaklog/meerkat/control/ui"
	"github.com/bwaklog/meerkat/node"
)

// front is a running node with what its process adds: what stands behind the
// control socket and the dashboard alike.
type front struct {
	*node.Node
	dash *ui.Server
	log  *logs
}

// newFront makes the front of a node, with a dashboard on l, which may be nil.
func newFront(n *node.Node, home *node.Home, l net.Listener, log *logs) (*front, error) {
	f := &front{Node: n, log: log}
	var err error
	f.dash, err = ui.New(ui.Config{Backend: f, Listener: l, Log: log.Logger, Access: func() (string, []string) {
		s := home.Settings()
		return s.UIPassword, s.UIHosts
	}})
	return f, err
}

// Dashboard gives a link that opens the dashboard once.
func (f *front) Dashboard(context.Context) (control.DashboardInfo, error) { return f.dash.Link() }

// Logs calls g with the lines of the log that are remembered.
func (f *front) Logs(_ context.Context, g func(control.LogLine) error) error { return f.log.each(g) }

// openListener listens for the dashboard or the metrics; nil is for "off". That
// it cannot listen stops no synchronising: it is told, and the node goes on
// without.
func openListener(log *slog.Logger, key, addr string) net.Listener {
	l, err := listen(addr)
	switch {
	case err != nil:
		log.Error("cannot listen", "setting", key, "addr", addr, "err", err)
		return nil
	case l != nil:
		log.Info("listening", "setting", key, "addr", l.Addr().String())
	}
	return l
}

// newMetrics makes the metrics and opens the listener that they are read at;
// without it none are kept.
func newMetrics(log *slog.Logger, s node.Settings) (*metrics.Set, net.Listener) {
	return metrics.New(), openListener(log, "metrics.addr", s.MetricsAddr)
}

// listen listens at addr; where the default address is taken, as by another
// node on this machine, at a free port.
func listen(addr string) (net.Listener, error) {
	if addr == node.Off {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if addr == node.DefaultUIAddr && errors.Is(err, syscall.EADDRINUSE) {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

var _ control.Backend = (*front)(nil)

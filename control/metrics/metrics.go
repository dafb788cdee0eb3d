// Package metrics shows a running node to Prometheus: what its status says, how
// quickly events arrive, and what libp2p counts. It names pools and members,
// never files.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

const (
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	statusTimeout = 10 * time.Second
	maxScrapes    = 4 // at once
)

// Set is what one node counts. Registry takes the metrics of others as well.
type Set struct {
	Registry *prometheus.Registry
	delivery prometheus.Histogram
}

// New makes a set with the metrics of this process in it.
func New() *Set {
	s := &Set{
		Registry: prometheus.NewRegistry(),
		delivery: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "meerkat_event_delivery_seconds",
			Help: "Time from an event's making, by its author's clock, to its arrival here. Events older than an hour are caught up on, and not counted.",
			// From a LAN's milliseconds to the hour.
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600},
		}),
	}
	s.Registry.MustRegister(s.delivery, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return s
}

// Delivered counts an event that took so long to arrive here. It does not block.
func (s *Set) Delivered(took time.Duration) {
	if took <= time.Hour {
		s.delivery.Observe(max(took, 0).Seconds())
	}
}

// Source is the node whose status is shown.
type Source interface {
	Status(ctx context.Context) (node.Status, error)
}

// Serve answers scrapes at /metrics on l until ctx ends, from s and from what
// src says at each scrape; then it closes l. It blocks, returns nil after a
// stop by ctx, and owns l from the start. Without l it does nothing.
func (s *Set) Serve(ctx context.Context, l net.Listener, src Source, log *slog.Logger) error {
	if l == nil {
		return nil
	}
	if err := s.Registry.Register(&collector{src: src, log: log}); err != nil {
		return errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), Registry: s.Registry,
	}))
	h := &http.Server{
		Handler: mux, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return control.ServeUntil(ctx, h, l)
}

package control

import (
	"context"
	"time"
)

// Schemas of the answers of [Process].
const (
	SchemaDashboard = "meerkat.dashboard/v1"
	SchemaLogLine   = "meerkat.log_line/v1"
)

// Process is the part of a [Backend] about the process around the node: the
// dashboard that it serves, and what it logged.
type Process interface {
	// Dashboard gives a link that opens the dashboard; each call gives a new one, which works once.
	Dashboard(ctx context.Context) (DashboardInfo, error)
	// Logs calls f with the newest lines of the log that are remembered, oldest first.
	Logs(ctx context.Context, f func(LogLine) error) error
}

// DashboardInfo says how to open the dashboard. URL holds a secret that works
// once, until Expires.
type DashboardInfo struct {
	Schema  string    `json:"schema"`
	URL     string    `json:"url"`
	Addr    string    `json:"addr"` // where it listens, host:port
	Expires time.Time `json:"expires"`
}

// LogLine is one line of the node's log.
type LogLine struct {
	Schema string    `json:"schema"`
	Time   time.Time `json:"time"`
	Level  string    `json:"level"` // "DEBUG", "INFO", "WARN", "ERROR"
	Text   string    `json:"text"`  // the message and its attributes
}

// processVerbs are the doors of [Process].
var processVerbs = map[string]verb{
	"dashboard": one(func(ctx context.Context, b Backend, _ none) (DashboardInfo, error) { return b.Dashboard(ctx) }),
	"logs":      many(func(ctx context.Context, b Backend, _ none, f func(LogLine) error) error { return b.Logs(ctx, f) }),
}

// Dashboard asks for a link that opens the dashboard once.
func (c *Client) Dashboard(ctx context.Context) (DashboardInfo, error) {
	return ask[DashboardInfo](ctx, c, "dashboard", none{})
}

// Logs calls f with the newest lines of the node's log.
func (c *Client) Logs(ctx context.Context, f func(LogLine) error) error {
	return follow(ctx, c, "logs", none{}, f)
}

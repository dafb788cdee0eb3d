package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	golog "github.com/ipfs/go-log/v2"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// logs is where everything that the process says about itself goes: written
// to w as the settings ask, and the newest lines remembered for the dashboard.
type logs struct {
	*slog.Logger
	level  slog.LevelVar
	newest ring
	libp2p bool // what libp2p says is routed here
}

// newLogs makes the log of a node. Lines are text or JSON; for the journal of
// systemd each begins with its priority.
func newLogs(w io.Writer, s node.Settings, journal bool) *logs {
	l := &logs{}
	l.follow(s)
	out := &lines{w: w, priority: journal}
	l.Logger = slog.New(tee{out.handler(s.LogFormat, &l.level), l.newest.handler(&l.level)})
	return l
}

// follow takes up the level that s asks for, at once.
func (l *logs) follow(s node.Settings) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // the settings are checked
	l.level.Set(level)
	if l.libp2p {
		_ = golog.SetLogLevel("*", zapLevel(level+step).String()) // fails only for a level that there is not
	}
}

// each calls f with the lines that are remembered, the oldest first.
func (l *logs) each(f func(control.LogLine) error) error {
	for _, line := range l.newest.all() {
		if err := f(line); err != nil {
			return err
		}
	}
	return nil
}

// lines writes records to w, one at a time.
type lines struct {
	w        io.Writer
	priority bool

	mu    sync.Mutex
	start string // of the line that is written now
}

// handler writes text or JSON to l.
func (l *lines) handler(format string, level slog.Leveler) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if l.priority {
		o.ReplaceAttr = withoutTime
	}
	var h slog.Handler = slog.NewTextHandler(l, o)
	if format == "json" {
		h = slog.NewJSONHandler(l, o)
	}
	if l.priority {
		return prioritised{h, l}
	}
	return h
}

// withoutTime leaves the time out: the journal has its own.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// Write writes one whole line.
func (l *lines) Write(b []byte) (int, error) {
	if l.start == "" {
		return l.w.Write(b)
	}
	_, err := l.w.Write(append([]byte(l.start), b...))
	return len(b), err
}

// prioritised begins each line with its priority, as sd-daemon(3) says.
type prioritised struct {
	slog.Handler
	l *lines
}

func (p prioritised) Handle(ctx context.Context, r slog.Record) error {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.start = priority(r.Level)
	return p.Handler.Handle(ctx, r)
}

func (p prioritised) WithAttrs(as []slog.Attr) slog.Handler {
	return prioritised{p.Handler.WithAttrs(as), p.l}
}

func (p prioritised) WithGroup(name string) slog.Handler {
	return prioritised{p.Handler.WithGroup(name), p.l}
}

func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// tee hands each record to both.
type tee struct{ a, b slog.Handler }

func (t tee) Enabled(ctx context.Context, level slog.Level) bool { return t.a.Enabled(ctx, level) }

func (t tee) Handle(ctx context.Context, r slog.Record) error {
	_ = t.b.Handle(ctx, r.Clone()) // into memory
	return t.a.Handle(ctx, r)
}

func (t tee) WithAttrs(as []slog.Attr) slog.Handler { return tee{t.a.WithAttrs(as), t.b.WithAttrs(as)} }

func (t tee) WithGroup(name string) slog.Handler {
	return tee{t.a.WithGroup(name), t.b.WithGroup(name)}
}

// ring remembers the newest lines.
type ring struct {
	mu    sync.Mutex
	lines []control.LogLine
	next  int
}

const (
	ringLines = 500
	ringWidth = 2 << 10 // bytes of a line that are remembered
)

func (r *ring) handler(level slog.Leveler) slog.Handler {
	return slog.NewTextHandler(r, &slog.HandlerOptions{Level: level})
}

// Write takes a line of a TextHandler apart again: time, level, and the rest.
func (r *ring) Write(b []byte) (int, error) {
	line := control.LogLine{Schema: control.SchemaLogLine, Time: time.Now().UTC()}
	rest := strings.TrimSuffix(string(b), "\n")
	_, rest, _ = strings.Cut(rest, " level=")
	line.Level, rest, _ = strings.Cut(rest, " ")
	rest = strings.TrimPrefix(rest, "msg=")
	line.Text = strings.ToValidUTF8(rest[:min(len(rest), ringWidth)], "")
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < ringLines {
		r.lines = append(r.lines, line)
	} else {
		r.lines[r.next] = line
	}
	r.next = (r.next + 1) % ringLines
	return len(b), nil
}

// all are the lines, the oldest first.
func (r *ring) all() []control.LogLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) < ringLines {
		return append([]control.LogLine(nil), r.lines...)
	}
	return append(append([]control.LogLine(nil), r.lines[r.next:]...), r.lines[:r.next]...)
}

package main

import (
	"context"
	"log"
	"log/slog"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap/zapcore"

	"github.com/bwaklog/meerkat/node"
)

// takeLibp2p routes what libp2p and its relatives say into l, one step quieter
// than our own: what they warn of is told, what they inform of only where l
// shows debugging. It is for the whole process, and for its beginning: a logger
// that has spoken already keeps to where it spoke.
func (l *logs) takeLibp2p(s node.Settings) {
	h := quieter{l.Handler()}
	gologshim.SetDefaultHandler(h)
	golog.SetPrimaryCore(zapCore{h})
	log.SetFlags(0) // zeroconf writes to the standard logger
	log.SetOutput(slog.NewLogLogger(h, slog.LevelInfo).Writer())
	l.libp2p = true
	l.follow(s)
}

// quieter passes on what stays enabled a step lower.
type quieter struct{ slog.Handler }

const step = slog.LevelInfo - slog.LevelDebug

func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level-step)
}

// Handle writes a record as what it is.
func (q quieter) Handle(ctx context.Context, r slog.Record) error { return q.Handler.Handle(ctx, r) }

func (q quieter) WithAttrs(as []slog.Attr) slog.Handler { return quieter{q.Handler.WithAttrs(as)} }

func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }

// zapCore writes what is logged by zap, which go-log speaks, to a slog.Handler.
type zapCore struct{ h slog.Handler }

func (c zapCore) Enabled(level zapcore.Level) bool {
	return c.h.Enabled(context.Background(), slogLevel(level))
}

func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.h.WithAttrs(attrs(fields))}
}

func (c zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, 0)
	r.AddAttrs(slog.String("logger", e.LoggerName))
	r.AddAttrs(attrs(fields)...)
	return c.h.Handle(context.Background(), r)
}

func (zapCore) Sync() error { return nil }

func attrs(fields []zapcore.Field) []slog.Attr {
	m := zapcore.NewMapObjectEncoder()
	out := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		f.AddTo(m)
		out = append(out, slog.Any(f.Key, m.Fields[f.Key]))
	}
	return out
}

// slogLevel is the level of zap, whose steps are 1, as one of slog, whose steps are 4.
func slogLevel(l zapcore.Level) slog.Level { return min(slog.Level(l)*step, slog.LevelError) }

func zapLevel(l slog.Level) zapcore.Level { return min(zapcore.Level(l/step), zapcore.ErrorLevel) }

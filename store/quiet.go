package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// listener takes the place of pebble's own, which ends the process where a table is damaged: whoever reads it gets
// ErrCorrupt, and the rest stays of use.
func listener(q quiet) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) { q.Errorf("in the background: %v", err) },
		DataCorruption:  func(info pebble.DataCorruptionInfo) { q.Errorf("%s is damaged: %v", info.Path, info.Details) },
	}
}

// quiet hands pebble's words to slog, at the level for us.
type quiet struct {
	log   *slog.Logger
	fatal func(error)
}

func (q quiet) Infof(format string, args ...any)  { q.say(slog.LevelDebug, format, args) }
func (q quiet) Errorf(format string, args ...any) { q.say(slog.LevelWarn, format, args) }

// Fatalf must not return. Pebble calls it when its log or manifest cannot be written: nothing further would be durable.
func (q quiet) Fatalf(format string, args ...any) {
	q.say(slog.LevelError, format, args)
	q.fatal(fmt.Errorf("the state cannot be written: "+format, args...))
	panic("store: Config.Fatal returned")
}

func (q quiet) say(l slog.Level, format string, args []any) {
	ctx := context.Background() // pebble hands none down
	if q.log.Enabled(ctx, l) {
		q.log.Log(ctx, l, "pebble", "text", fmt.Sprintf(format, args...))
	}
}

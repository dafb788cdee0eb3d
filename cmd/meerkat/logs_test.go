package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"strings"
	"testing"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

func TestJournalPriorities(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(&out, node.Settings{LogLevel: "debug", LogFormat: "text"}, true)
	l.Debug("a")
	l.With("k", 1).Info("b")
	l.WithGroup("g").Warn("c", "x", 2)
	l.Error("d")
	want := "<7>level=DEBUG msg=a\n<6>level=INFO msg=b k=1\n<4>level=WARN msg=c g.x=2\n<3>level=ERROR msg=d\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

func TestLogFormats(t *testing.T) {
	var out bytes.Buffer
	newLogs(&out, node.Settings{LogLevel: "info", LogFormat: "json"}, false).Info("a", "path", "x\ny")
	var line struct{ Level, Msg, Path, Time string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "INFO" || line.Path != "x\ny" || line.Time == "" {
		t.Errorf("%q: %v", &out, err)
	}
	out.Reset()
	newLogs(&out, node.Settings{LogLevel: "info", LogFormat: "text"}, false).Info("a")
	if !strings.HasPrefix(out.String(), "time=") {
		t.Errorf("%q", &out)
	}
}

func TestLogLevelAtRunTime(t *testing.T) {
	var out bytes.Buffer
	l := newLogs(&out, node.Settings{LogLevel: "warn"}, false)
	l.Info("a")
	l.follow(node.Settings{LogLevel: "debug"})
	l.Debug("b")
	l.follow(node.Settings{LogLevel: "error"})
	l.Warn("c")
	if got := out.String(); strings.Contains(got, "msg=a") || !strings.Contains(got, "msg=b") || strings.Contains(got, "msg=c") {
		t.Errorf("got %q, want b alone", got)
	}
}

// TestLogsOfLibp2p: all ways in which libp2p and its relatives log end in our
// log, one step quieter.
func TestLogsOfLibp2p(t *testing.T) {
	var out bytes.Buffer
	set := node.Settings{LogLevel: "info", LogFormat: "text"}
	l := newLogs(&out, set, false)
	l.takeLibp2p(set)
	t.Cleanup(func() {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
		golog.SetPrimaryCore(zapCore{slog.DiscardHandler})
		log.SetOutput(io.Discard)
	})
	shim, old := gologshim.Logger("meerkat-test"), golog.Logger("meerkat-test-zap")
	say := func() {
		shim.Info("shim says", "k", 1)
		shim.Warn("shim warns", "k", 2)
		old.Infow("zap says", "k", 3)
		log.Print("the standard logger says")
		old.Warnw("zap warns", "k", 4)
	}
	say()
	if got := out.String(); strings.Contains(got, "says") || !strings.Contains(got, `msg="shim warns" logger=meerkat-test k=2`) || !strings.Contains(got, `msg="zap warns" logger=meerkat-test-zap k=4`) {
		t.Errorf("at info: %q", got)
	}
	out.Reset()
	l.follow(node.Settings{LogLevel: "debug"})
	say()
	if got := out.String(); !strings.Contains(got, "shim says") || !strings.Contains(got, "zap says") || !strings.Contains(got, "the standard logger says") {
		t.Errorf("at debug: %q", got)
	}
	out.Reset()
	l.follow(node.Settings{LogLevel: "error"})
	say()
	if out.Len() > 0 {
		t.Errorf("at error: %q", &out)
	}
}

func TestNewestLines(t *testing.T) {
	l := newLogs(new(bytes.Buffer), node.Settings{LogLevel: "info", LogFormat: "json"}, true)
	for i := range ringLines + 3 {
		l.Info("line", "n", i)
	}
	var got []control.LogLine
	if err := l.each(func(c control.LogLine) error { got = append(got, c); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != ringLines || got[0].Text != "line n=3" || got[ringLines-1].Text != "line n=502" || got[0].Level != "INFO" {
		t.Errorf("%d lines, from %+v to %+v", len(got), got[0], got[len(got)-1])
	}
}

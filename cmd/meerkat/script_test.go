package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run this very test binary as the command meerkat.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"meerkat": main}) }

// TestFake runs sessions against a node with a fixed small world, served at
// $MEERKAT_HOME; $ASKED is a file with what that node was asked to do.
func TestFake(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "fake"), Setup: serveCanned, Cmds: scriptCommands, RequireExplicitExec: true,
	})
}

var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "up": up, "down": down, "keep": keep, "rot": rotten, "now": now}

// leaveSoon spares the commands of a script the second that each sleeps at its end under the race detector.
func leaveSoon(env *testscript.Env) { env.Setenv("GORACE", "atexit_sleep_ms=10") }

func serveCanned(env *testscript.Env) error {
	home, asked := filepath.Join(env.WorkDir, "h"), filepath.Join(env.WorkDir, "asked")
	env.Setenv("MEERKAT_HOME", home)
	leaveSoon(env)
	env.Setenv("ASKED", asked)
	if err := errors.Join(os.Mkdir(home, 0o700), os.WriteFile(asked, nil, 0o600)); err != nil {
		return err
	}
	l, err := control.Listen(home)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, canned{recorder(asked)}, nil) }()
	env.Defer(func() { cancel(); <-done })
	return nil
}

// recorder appends lines to a file.
func recorder(path string) func(string, ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		fmt.Fprintf(f, format+"\n", args...)
		f.Close()
	}
}

// exits runs a command and demands its exit code: exits N COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s exits %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// TestNode runs sessions on homes of their own: $WORK/h, and those they name
// with --home. "up NAME ARG..." starts a node on $WORK/NAME and returns once
// it is ready; "down NAME" stops it and demands exit 0 within five seconds.
func TestNode(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "node"), Cmds: scriptCommands, RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MEERKAT_HOME", filepath.Join(env.WorkDir, "h"))
			leaveSoon(env)
			env.Setenv("MEERKAT_NETWORK__MDNS", "off")
			env.Setenv("MEERKAT_NETWORK__LISTEN", "/ip4/127.0.0.1/tcp/0")
			env.Values[nodesKey{}] = map[string]*running{}
			return nil
		},
	})
}

type nodesKey struct{}

// running is a node that a script has started.
type running struct {
	cmd  *exec.Cmd
	err  bytes.Buffer // what it said; complete once done is closed
	done chan struct{}
}

// kill ends the node, if it has not ended by itself.
func (r *running) kill() {
	_ = r.cmd.Process.Kill()
	<-r.done
	_ = r.cmd.Wait()
}

func up(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: up NAME ARG...")
	}
	exe, err := exec.LookPath("meerkat")
	ts.Check(err)
	r := &running{done: make(chan struct{})}
	r.cmd = exec.Command(exe, append([]string{"--home", ts.MkAbs(args[0]), "up"}, args[1:]...)...)
	r.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"MEERKAT_TICKET_FILE", "MEERKAT_BOOT_ROOT", "CREDENTIALS_DIRECTORY", "MEERKAT_DIR", "MEERKAT_NETWORK__MDNS", "MEERKAT_NETWORK__LISTEN", "HOME", "PATH", "TMPDIR"} {
		r.cmd.Env = append(r.cmd.Env, name+"="+ts.Getenv(name))
	}
	pipe, err := r.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	ready := make(chan bool, 1)
	go r.listen(pipe, ready)
	ts.Value(nodesKey{}).(map[string]*running)[args[0]] = r
	ts.Defer(func() {
		r.kill()
		ts.Logf("node %s said:\n%s", args[0], &r.err)
	})
	if !<-ready {
		<-r.done
		ts.Fatalf("up %s ended before it was ready: %s", args[0], &r.err)
	}
}

// listen reads what a node says until it ends, and tells once it is ready.
func (r *running) listen(pipe io.Reader, ready chan<- bool) {
	defer close(r.done)
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		fmt.Fprintln(&r.err, lines.Text())
		if strings.HasPrefix(lines.Text(), "ready 12D3KooW") {
			ready <- true
		}
	}
	select {
	case ready <- false:
	default:
	}
}

func down(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: down NAME")
	}
	all := ts.Value(nodesKey{}).(map[string]*running)
	r := all[args[0]]
	if r == nil {
		ts.Fatalf("no node %s runs", args[0])
	}
	delete(all, args[0])
	begun := time.Now()
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	<-r.done
	err := r.cmd.Wait()
	if took := time.Since(begun); err != nil || took > 5*time.Second {
		ts.Fatalf("down %s: %v after %v, want exit 0 within 5 s", args[0], err, took)
	}
}

// keep puts the last line of a command's answer into a variable: keep VAR COMMAND ARG...
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: keep VAR COMMAND ARG...")
	}
	ts.Check(ts.Exec(args[1], args[2:]...))
	out := strings.TrimSpace(ts.ReadFile("stdout"))
	ts.Setenv(args[0], out[strings.LastIndexByte(out, '\n')+1:])
}

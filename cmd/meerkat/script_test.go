package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

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

var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){"exits": exits}

func serveCanned(env *testscript.Env) error {
	home, asked := filepath.Join(env.WorkDir, "h"), filepath.Join(env.WorkDir, "asked")
	env.Setenv("MEERKAT_HOME", home)
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

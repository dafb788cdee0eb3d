// Command meerkat is the node and the tool that talks to it. It reads
// arguments, prints and exits; what a command does stands in packages node and
// control.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], processIO())) }

// stdio is what a command sees of the world.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	environ  []string // all that env finds, as NAME=VALUE
}

func processIO() stdio { return stdio{os.Stdin, os.Stdout, os.Stderr, os.LookupEnv, os.Environ()} }

var errInterrupted = errors.New("interrupted")

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, std stdio) int {
	a := newApp(std, args)
	ctx, stop := interruptible(ctx)
	defer stop()
	defer a.cancel()
	root := newRoot(a)
	root.SetArgs(args)
	return a.finish(ctx, root.ExecuteContext(ctx))
}

// interruptible ends ctx at the first SIGINT or SIGTERM. The second finds no
// handler any more and ends the process at once.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer close(done)
		select {
		case <-signals:
			signal.Stop(signals)
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil); <-done }
}

package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

func TestReadyIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	var said bytes.Buffer
	ready(t.Context(), canned{}, &said)
	if want := "ready " + laptopID + "\n"; said.String() != want {
		t.Errorf("said %q, want %q", &said, want)
	}
	got := make([]byte, 64)
	n, err := l.Read(got)
	if err != nil || string(got[:n]) != "READY=1" {
		t.Errorf("systemd was told %q (%v), want READY=1", got[:n], err)
	}
}

// reloading counts its reloads; the second one fails.
type reloading struct {
	canned
	done chan struct{}
	n    int
}

func (r *reloading) Reload(context.Context) error {
	r.n++
	defer func() { r.done <- struct{}{} }()
	if r.n == 2 {
		return errors.New("line 3")
	}
	return nil
}

func TestHangupReloads(t *testing.T) {
	var said bytes.Buffer
	b, hups, ended := &reloading{done: make(chan struct{})}, make(chan os.Signal), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(ended); reloads(ctx, b, slog.New(slog.NewTextHandler(&said, nil)), hups) }()
	for range 3 {
		hups <- syscall.SIGHUP
		<-b.done
	}
	cancel()
	<-ended
	if n := strings.Count(said.String(), "configuration read again"); n != 2 || !strings.Contains(said.String(), "line 3") {
		t.Errorf("three reloads, the second of which fails, said %q", &said)
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration
		gives error
		cause error
		want  error
	}{
		{"in time", time.Second, nil, errInterrupted, nil},
		{"in time, with what a cancelled part returns", time.Second, context.Canceled, errInterrupted, nil},
		{"in time, with trouble", time.Second, os.ErrClosed, errInterrupted, os.ErrClosed},
		{"never", time.Hour, nil, errInterrupted, errAbandoned},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				g, gctx := errgroup.WithContext(ctx)
				g.Go(func() error { <-ctx.Done(); time.Sleep(c.takes); return c.gives })
				begun := time.Now()
				cancel(c.cause)
				if err := awaitStop(gctx, g); !errors.Is(err, c.want) {
					t.Errorf("awaitStop = %v, want %v", err, c.want)
				}
				if took := time.Since(begun); took > 5*time.Second {
					t.Errorf("it took %v, want at most 5 s", took)
				}
				g.Wait()
			})
		})
	}
}

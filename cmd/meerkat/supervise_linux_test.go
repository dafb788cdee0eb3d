package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestSupervised plays the service manager of a real node: what it is told, in which order, on a socket.
func TestSupervised(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command("meerkat", "--home", filepath.Join(dir, "h"), "up", filepath.Join(dir, "D"), "--mdns", "off", "--listen", "/ip4/127.0.0.1/tcp/0", "-q")
	cmd.Env = append(cmd.Environ(), "NOTIFY_SOCKET="+l.LocalAddr().String(), "WATCHDOG_USEC=500000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var early []string // STATUS comes when it comes
	until := func(pattern string) {
		t.Helper()
		want := regexp.MustCompile(pattern)
		if i := slices.IndexFunc(early, want.MatchString); i >= 0 {
			early = slices.Delete(early, i, i+1)
			return
		}
		_ = l.SetReadDeadline(time.Now().Add(time.Minute))
		for b := make([]byte, 4096); ; {
			n, err := l.Read(b)
			if err != nil {
				t.Fatalf("waiting for %s: %v; others were %q", pattern, err, early)
			}
			if want.Match(b[:n]) {
				return
			}
			early = append(early, string(b[:n]))
		}
	}
	until(`^STATUS=D in sync, 0 of 0 other members online$`)
	until(`^READY=1$`)
	early = nil
	until(`^WATCHDOG=1$`)
	until(`^WATCHDOG=1$`)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$`)
	until(`^READY=1$`)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(`^STOPPING=1\nSTATUS=stopping$`)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestStuckIsNotFed: the watchdog gets nothing while the loops do not move.
func TestStuckIsNotFed(t *testing.T) {
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(t.TempDir(), "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", l.LocalAddr().String())
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		alive := func() error {
			if d := time.Since(start); d > 25*time.Second && d < 55*time.Second {
				return errors.New("applying does not end")
			}
			return nil
		}
		done := make(chan struct{})
		go func() { feedWatchdog(ctx, 10*time.Second, alive, slog.New(slog.DiscardHandler)); close(done) }()
		time.Sleep(61 * time.Second)
		cancel()
		<-done
	})
	var got []string
	_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
	for b := make([]byte, 4096); len(got) < 5; {
		n, err := l.Read(b)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, string(b[:n]))
	}
	want := "WATCHDOG=1 WATCHDOG=1 WATCHDOG=1 STATUS=stuck: applying does not end WATCHDOG=1"
	if strings.Join(got, " ") != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

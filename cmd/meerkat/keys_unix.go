//go:build unix

package main

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// keys gives what is typed, a key at a time, from a goroutine of g that ends soon after ctx. Ctrl-C interrupts as ever.
// restore gives the terminal back as it was. Where stdin is none, nothing is ever typed.
func (a *app) keys(ctx context.Context, g *errgroup.Group) (pressed <-chan string, restore func()) {
	tty, ok := a.in.(*os.File)
	if !ok || !isTerminal(a.in) {
		return nil, func() {}
	}
	fd := int(tty.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, func() {} // it is shown all the same
	}
	out := make(chan string)
	g.Go(func() error { readKeys(ctx, fd, out); return nil })
	return out, func() { _ = term.Restore(fd, old) } // there is no other way back
}

func readKeys(ctx context.Context, fd int, out chan<- string) {
	b := make([]byte, 16)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(keyPoll.Milliseconds()))
		if n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		if n, err = unix.Read(fd, b); err != nil || n <= 0 {
			return
		}
		if b[0] == 3 { // Ctrl-C
			_ = unix.Kill(unix.Getpid(), unix.SIGINT)
			return
		}
		select {
		case out <- string(b[:n]):
		case <-ctx.Done():
		}
	}
}

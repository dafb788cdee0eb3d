package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"golang.org/x/sync/errgroup"
)

// view is the live status on a terminal.
type view struct {
	a     *app
	last  node.Status
	come  bool // last has come
	drawn int  // lines on the screen now
	top   int  // lines above the first one that is shown
}

// view shows the status in place until the stream or ctx ends, or a person presses q.
func (a *app) view(ctx context.Context, b control.Backend) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	pressed, restore := a.keys(ctx, g)
	defer restore()
	came := make(chan node.Status)
	g.Go(func() error {
		defer close(came)
		return b.Watch(ctx, func(s node.Status) error {
			s, err := a.only(s)
			if err != nil {
				return err
			}
			select {
			case came <- s:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	quit, err := (&view{a: a}).follow(came, pressed)
	cancel()
	if ended := g.Wait(); err == nil && !quit {
		err = ended
	}
	return err
}

// follow draws what comes and does what is pressed; quit says that a person ended it.
func (v *view) follow(came <-chan node.Status, pressed <-chan string) (quit bool, err error) {
	for {
		select {
		case s, more := <-came:
			if !more {
				return false, nil
			}
			v.last, v.come = s, true
		case key := <-pressed:
			if key == "q" {
				return true, nil
			}
			v.scroll(key)
		}
		if !v.come {
			continue
		}
		if err := v.draw(); err != nil {
			return false, err
		}
	}
}

// scroll moves what is shown: j and k, the arrows, g and G.
func (v *view) scroll(key string) {
	switch key {
	case "j", "\x1b[B":
		v.top++
	case "k", "\x1b[A":
		v.top--
	case "g":
		v.top = 0
	case "G":
		v.top = 1 << 20
	}
}

// draw writes over the lines drawn before, each cleared only behind its new end, and in one piece: nothing flickers.
func (v *view) draw() error {
	wide, high := v.a.screen()
	lines := v.a.statusLines(v.last)
	room := max(1, high-2)
	v.top = max(0, min(v.top, len(lines)-room))
	rest := len(lines) - v.top - room
	lines = lines[v.top:min(len(lines), v.top+room)]
	foot := "q quits"
	if v.top > 0 || rest > 0 {
		foot += fmt.Sprintf("  j k scroll  %d lines above, %d below", v.top, max(0, rest))
	}
	lines = append(lines, v.a.paint(faint, foot))
	var b strings.Builder
	b.WriteString("\x1b[?2026h") // terminals that know it show nothing half drawn
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	for _, l := range lines {
		b.WriteString("\r" + cut(l, wide) + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	v.drawn = len(lines)
	_, err := v.a.out.Write([]byte(b.String()))
	return err
}

// barText is a bar of n cells.
func barText(p node.Progress, n int) string {
	full := int(percent(p)) * n / 100
	return strings.Repeat("█", full) + strings.Repeat("░", n-full)
}

const keyPoll = 100 * time.Millisecond

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/bwaklog/meerkat/node"
	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: the person's side and the program's.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("missing privilege: no pseudo-terminal here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	size := &unix.Winsize{Row: 24, Col: 80}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// typed runs the program on a terminal where a person types in, and gives what the screen got.
func typed(t *testing.T, env map[string]string, in string, args ...string) (int, string) {
	t.Helper()
	return watched(t, env, in, func(string) {}, args...)
}

// watched is typed with somebody who looks at the screen each time it changes.
func watched(t *testing.T, env map[string]string, in string, look func(screen string), args ...string) (int, string) {
	t.Helper()
	person, program := terminal(t)
	if _, err := person.WriteString(in); err != nil {
		t.Fatal(err)
	}
	screen := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		for part := make([]byte, 4096); ; look(b.String()) {
			n, err := person.Read(part)
			b.Write(part[:n])
			if err != nil { // EIO: the program's side is closed
				screen <- b.String()
				return
			}
		}
	}()
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	code := run(t.Context(), args, stdio{program, program, program, lookup, nil})
	program.Close()
	return code, <-screen
}

func TestTerminalHasTablesAndColour(t *testing.T) {
	home := serveHome(t, canned{asked: func(string, ...any) {}})
	for _, c := range []struct {
		name   string
		env    map[string]string
		flags  []string
		colour bool
	}{
		{"plain", nil, nil, true},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1"}, nil, false},
		{"TERM=dumb", map[string]string{"TERM": "dumb"}, nil, false},
		{"--no-color", nil, []string{"--no-color"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, screen := typed(t, c.env, "", append(c.flags, "--home", home, "status")...)
			if code != 0 || strings.Contains(screen, "\x1b[32min sync\x1b[0m") != c.colour || strings.Contains(screen, "\x1b") != c.colour {
				t.Errorf("status: exit %d, screen %q; want exit 0, colour: %v", code, screen, c.colour)
			}
		})
	}
	if _, screen := typed(t, nil, "", "--home", home, "peer", "ls"); !strings.Contains(screen, "NAME") || !strings.Contains(screen, `e\x1b[31mvil\nname  writer`) {
		t.Errorf("peer ls on a terminal: %q, want a head and aligned, harmless names", screen)
	}
}

func TestTerminalAsks(t *testing.T) {
	var asked []string
	home := serveHome(t, canned{asked: func(format string, args ...any) { asked = append(asked, fmt.Sprintf(format, args...)) }})
	if code, screen := typed(t, nil, "n\n", "--home", home, "peer", "rm", "pi"); code != 1 || !strings.Contains(screen, "removing pi from the pool? [y/N]") || len(asked) != 0 {
		t.Errorf("a no: exit %d, screen %q, asked %q; want exit 1, a question and nothing done", code, screen, asked)
	}
	if code, screen := typed(t, nil, "y\n", "--home", home, "peer", "rm", "pi"); code != 0 || len(asked) != 1 {
		t.Errorf("a yes: exit %d, screen %q, asked %q; want exit 0 and one removal", code, screen, asked)
	}
}

func TestTerminalWatchDrawsOverItself(t *testing.T) {
	home := serveHome(t, canned{})
	code, screen := typed(t, nil, "", "--home", home, "--pool", "work", "status", "--watch")
	// Five lines: the node, an empty one, the pool, its state, and the keys.
	up, wiped := strings.Count(screen, "\x1b[5A"), strings.Count(screen, "\x1b[5A\x1b[J")
	if code != 0 || up != 2 || wiped != 0 {
		t.Errorf("status --watch: exit %d, %d redraws, %d of them wiped first, in %q; want exit 0, 2 and 0", code, up, wiped, screen)
	}
	for _, line := range strings.Split(screen, "\n") {
		if n := utf8.RuneCountInString(ansi.ReplaceAllString(line, "")); n > 81 { // with the carriage return
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

var ansi = regexp.MustCompile(`\x1b\[[?0-9;]*[A-Za-z]|\r`)

func TestTerminalWatchKeys(t *testing.T) {
	f := fetching{seen: make(chan struct{})} // never: only a key ends it
	home := serveHome(t, f)
	code, screen := typed(t, nil, "q", "--home", home, "--timeout", "30s", "status", "--watch")
	if code != 0 {
		t.Errorf("q: exit %d, screen %q; want exit 0", code, screen)
	}
	home = serveHome(t, f)
	code, screen = typed(t, nil, "jx", "--home", home, "--timeout", "1s", "status", "--watch")
	if code != 6 || !strings.Contains(screen, "░") || !strings.Contains(screen, "q quits") {
		t.Errorf("keys that do nothing: exit %d, screen %q; want exit 6, a bar and the keys", code, screen)
	}
}

// fetching is a node that shows progress until somebody has seen it.
type fetching struct {
	canned
	seen chan struct{}
}

func (f fetching) Watch(ctx context.Context, g func(node.Status) error) error {
	s, err := f.Status(ctx)
	if err == nil {
		err = g(s)
	}
	<-ctx.Done()
	return errors.Join(err, ctx.Err())
}

func (f fetching) Wait(ctx context.Context, _ string) error {
	select {
	case <-f.seen:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestTerminalShowsBars(t *testing.T) {
	f := fetching{seen: make(chan struct{})}
	home, once := serveHome(t, f), sync.Once{}
	look := func(screen string) {
		if strings.Contains(screen, "home fetching") && strings.Contains(screen, "1.0 MB / 4.0 MB") {
			once.Do(func() { close(f.seen) })
		}
	}
	// Without the bar nobody would end the wait, and the timeout would.
	if code, screen := watched(t, nil, "", look, "--home", home, "--timeout", "20s", "wait"); code != 0 {
		t.Errorf("wait: exit %d, screen %q; want exit 0 and a bar of home", code, screen)
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bwaklog/meerkat/control"
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
	person, program := terminal(t)
	if _, err := person.WriteString(in); err != nil {
		t.Fatal(err)
	}
	screen := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		_, _ = b.ReadFrom(person) // ends with EIO once the program's side is closed
		screen <- b.String()
	}()
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	code := run(t.Context(), args, stdio{program, program, program, lookup})
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
	// Four lines: the node, an empty one, the pool and its state.
	if up := strings.Count(screen, "\x1b[4A\x1b[J"); code != 0 || up != 2 {
		t.Errorf("status --watch: exit %d, %d redraws in %q; want exit 0 and 2", code, up, screen)
	}
}

// fetching is a node that shows progress and then is done.
type fetching struct {
	canned
	shown chan struct{}
}

func (f fetching) Watch(ctx context.Context, g func(node.Status) error) error {
	s, _ := f.Status(ctx)
	s.Pools[0].Progress.DoneBytes = 0
	for range 3 {
		s.Pools[0].Progress.DoneBytes += 1000000
		if err := g(s); err != nil {
			return err
		}
	}
	close(f.shown)
	<-ctx.Done()
	return nil
}

func (f fetching) Wait(context.Context) error { <-f.shown; return nil }

var _ control.Backend = fetching{}

func TestTerminalShowsBars(t *testing.T) {
	home := serveHome(t, fetching{shown: make(chan struct{})})
	code, screen := typed(t, nil, "", "--home", home, "wait")
	if code != 0 || !strings.Contains(screen, "home fetching") || !strings.Contains(screen, "/ 4.0 MB") {
		t.Errorf("wait: exit %d, screen %q; want exit 0 and a bar of home", code, screen)
	}
}

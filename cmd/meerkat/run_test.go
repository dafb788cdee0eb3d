package main

import (
	"bytes"
	"context"
	"strings"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/control"
)

// waiting tells when somebody waits.
type waiting struct {
	canned
	begun chan struct{}
}

func (w waiting) Wait(ctx context.Context, pool string) error {
	close(w.begun)
	return w.canned.Wait(ctx, pool)
}

// serveHome serves b on a fresh home.
func serveHome(t *testing.T, b control.Backend) (home string) {
	t.Helper()
	home = t.TempDir()
	l, err := control.Listen(home)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, b, nil) }()
	t.Cleanup(func() { cancel(); <-done })
	return home
}

// call runs the program in this process.
func call(t *testing.T, in string, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, stdio{strings.NewReader(in), &o, &e, func(string) (string, bool) { return "", false }, nil})
	return code, o.String(), e.String()
}

func TestInterrupted(t *testing.T) {
	w := waiting{begun: make(chan struct{})}
	home := serveHome(t, w)
	go func() {
		<-w.begun
		syscall.Kill(syscall.Getpid(), syscall.SIGINT)
	}()
	code, out, err := call(t, "", "--home", home, "wait", "--json")
	want := `{"schema":"meerkat.error/v1","code":"interrupted","message":"interrupted","hint":"","exit":130}` + "\n"
	if code != 130 || out != "" || err != want {
		t.Errorf("an interrupted wait: exit %d, stdout %q, stderr %q; want 130, nothing and %q", code, out, err, want)
	}
}

func TestNoNode(t *testing.T) {
	for _, c := range []string{"status", "wait", "scan", "requests", "approve x", "deny x", "ping x", "log", "events"} {
		code, out, err := call(t, "", append([]string{"--home", t.TempDir()}, strings.Fields(c)...)...)
		if code != 3 || out != "" || !strings.HasPrefix(err, "meerkat: no node runs on ") || !strings.Contains(err, "\nhint: start it with \"meerkat up\"\n") {
			t.Errorf("%s without a node: exit %d, stdout %q, stderr %q; want exit 3 and two lines", c, code, out, err)
		}
	}
}

func TestAnswersOfPeople(t *testing.T) {
	for _, c := range []struct {
		in   string
		want bool
	}{{"y\n", true}, {" YES \n", true}, {"n\n", false}, {"\n", false}, {"", false}, {"yeah\n", false}, {"y", true}} {
		var e bytes.Buffer
		a := newApp(stdio{strings.NewReader(c.in), &bytes.Buffer{}, &e, nil, nil}, nil)
		a.terminal = true
		err := a.confirm("forgetting it")
		if (err == nil) != c.want {
			t.Errorf("confirm with %q = %v, want a yes: %v", c.in, err, c.want)
		}
		if e.String() != "forgetting it? [y/N] " {
			t.Errorf("asked %q", &e)
		}
	}
}

package control_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bwaklog/meerkat/control"
)

func TestSocketIsPrivate(t *testing.T) {
	home := t.TempDir()
	stop := serveOn(t, home, &fake{})
	st, err := os.Stat(filepath.Join(home, "meerkat.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 || st.Mode().Type() != os.ModeSocket {
		t.Errorf("mode = %v, want a socket with 0600", st.Mode())
	}
	stop()
	left, err := os.ReadDir(home)
	if err != nil || len(left) != 0 {
		t.Errorf("after the stop the home holds %v (%v), want nothing", left, err)
	}
}

func TestSocketOfAKilledNode(t *testing.T) {
	home := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(home, "meerkat.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // the file stays, as after kill -9
	c := control.NewClient(home)
	if _, err := c.Status(t.Context()); control.Flat(err).Code != "not_running" {
		t.Errorf("Status on a dead socket = %v, want not_running", err)
	}
	serveOn(t, home, &fake{})
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("Status after a new start = %v, want nil", err)
	}
}

// TestRunning sees a node come and go.
func TestRunning(t *testing.T) {
	home := t.TempDir()
	c := control.NewClient(home)
	if c.Running(t.Context()) {
		t.Error("Running on an empty home, want false")
	}
	stop := serveOn(t, home, &fake{})
	if !c.Running(t.Context()) {
		t.Error("not Running while it serves, want true")
	}
	stop()
	if c.Running(t.Context()) {
		t.Error("Running after the stop, want false")
	}
}

// deepHome is a home whose socket's path is longer than a socket's may be.
func deepHome(t *testing.T) string {
	home := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	return home
}

func TestDeepHome(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	home := deepHome(t)
	c := control.NewClient(home)
	if _, err := c.Status(t.Context()); control.Flat(err).Exit != 3 {
		t.Errorf("Status before the start = %v, want exit 3", err)
	}
	stop := serveOn(t, home, &fake{})
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("Status = %v, want nil", err)
	}
	b, err := os.ReadFile(filepath.Join(home, "meerkat.sock.path"))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	dir := filepath.Dir(strings.TrimSpace(string(b)))
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(%s) after the stop = %v, want not exist", dir, err)
	}
}

func TestPointerToOpenDirectoryIsNotTrusted(t *testing.T) {
	home, shared := deepHome(t), t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(shared, "meerkat.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pointer := filepath.Join(home, "meerkat.sock.path")
	if err := os.WriteFile(pointer, []byte(l.Addr().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = control.NewClient(home).Status(t.Context())
	if e := control.Flat(err); e.Exit != 3 || !strings.Contains(e.Message, "not private") {
		t.Errorf("Status = %v, want exit 3 and \"not private\"", err)
	}
}

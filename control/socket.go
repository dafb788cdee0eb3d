package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/bwaklog/meerkat/node"
)

const (
	socketName  = "meerkat.sock"
	pointerName = "meerkat.sock.path" // holds the socket's path where the home lies too deep for one
	maxPath     = 107                 // sun_path holds 108 bytes with its NUL
)

// Listen opens the socket of home (which exists): home/meerkat.sock, or where
// that path is too long for a socket, one in a fresh private directory that
// home/meerkat.sock.path names. Only this user can reach it (0600). The caller
// holds the lock on the home: what an earlier node left there is removed.
func Listen(home string) (net.Listener, error) {
	home, err := filepath.Abs(home)
	if err != nil {
		return nil, err
	}
	if err := sweep(home); err != nil {
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	l, err := listen(home)
	if err != nil {
		return nil, fmt.Errorf("open the control socket of %s: %w", home, err)
	}
	return l, nil
}

func listen(home string) (net.Listener, error) {
	path := filepath.Join(home, socketName)
	if len(path) <= maxPath-len("/.sock-0123456789") {
		return listenBeside(home, path)
	}
	dir, err := os.MkdirTemp(runtimeDir(), "meerkat-")
	if err != nil {
		return nil, err
	}
	short := filepath.Join(dir, socketName)
	l, err := bind(short)
	if err == nil {
		err = os.WriteFile(filepath.Join(home, pointerName), []byte(short+"\n"), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, closeIf(l), os.RemoveAll(dir))
	}
	return &listener{Listener: l, remove: func() error {
		return errors.Join(os.RemoveAll(dir), gone(os.Remove(filepath.Join(home, pointerName))))
	}}, nil
}

// listenBeside binds in a private directory and moves the socket to its place,
// so that there is no moment at which another user could reach it.
func listenBeside(home, path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(home, ".sock-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // empty by then, or of no use
	inner := filepath.Join(dir, "s")
	l, err := bind(inner)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(inner, path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{Listener: l, remove: func() error { return gone(os.Remove(path)) }}, nil
}

func bind(path string) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func closeIf(l *net.UnixListener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// runtimeDir is where short socket paths go; "" is the system's temporary directory.
func runtimeDir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) && len(d) < 64 {
		if st, err := os.Stat(d); err == nil && st.IsDir() {
			return d
		}
	}
	if len(os.TempDir()) < 64 {
		return ""
	}
	return "/tmp"
}

// sweep removes what a node left behind that was killed.
func sweep(home string) error {
	pointer := filepath.Join(home, pointerName)
	if path, err := pointed(home); err == nil {
		// Only what can be nothing but ours is removed: the socket, and its directory when empty.
		_ = os.Remove(path)
		_ = os.Remove(filepath.Dir(path))
	}
	old, err := filepath.Glob(filepath.Join(quoteGlob(home), ".sock-*"))
	if err != nil {
		return err
	}
	for _, d := range old {
		_ = os.Remove(filepath.Join(d, "s"))
		_ = os.Remove(d)
	}
	return errors.Join(gone(os.Remove(filepath.Join(home, socketName))), gone(os.Remove(pointer)))
}

func quoteGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// gone forgives that there was nothing to remove.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// pointed reads home's pointer, and trusts it only where the socket's directory is this user's own.
func pointed(home string) (string, error) {
	b, err := os.ReadFile(filepath.Join(home, pointerName))
	if err != nil {
		return "", err
	}
	path := strings.TrimSuffix(string(b), "\n")
	if !filepath.IsAbs(path) || filepath.Base(path) != socketName || len(path) > maxPath {
		return "", fmt.Errorf("%s names no socket", pointerName)
	}
	st, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	if !st.IsDir() || !private(st) {
		return "", fmt.Errorf("%s is not private", filepath.Dir(path))
	}
	return path, nil
}

// dialHome reaches the node of home, or says that none runs.
func dialHome(ctx context.Context, home string) (net.Conn, error) {
	home, err := filepath.Abs(home)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(home, socketName)
	if short, err := pointed(home); err == nil {
		path = short
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, NotRunning(home, err)
	}
	if len(path) > maxPath {
		return nil, NotRunning(home, nil)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil || ctx.Err() != nil:
		return c, err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, NotRunning(home, nil)
	case errors.Is(err, fs.ErrPermission):
		return nil, &node.Error{
			Code: "not_allowed", Exit: exitNotAllowed, Err: fs.ErrPermission,
			Message: "cannot reach the node at " + path,
			Hint:    "it belongs to another user: run this command as that user",
		}
	}
	return nil, NotRunning(home, err)
}

// listener removes its files when it is closed, once.
type listener struct {
	net.Listener
	remove func() error
	once   sync.Once
	err    error
}

func (l *listener) Close() error {
	l.once.Do(func() { l.err = errors.Join(l.Listener.Close(), l.remove()) })
	return l.err
}

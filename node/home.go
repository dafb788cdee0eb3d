package node

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/gofrs/flock"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// HomeConfig says which home is opened, and how. Dir "" is DefaultHome. Flags
// are settings by their config keys, which win over everything. Env is
// os.LookupEnv unless given.
type HomeConfig struct {
	Dir   string
	Flags map[string][]string
	Env   func(string) (string, bool)
	Log   *slog.Logger
	State vfs.FS // what the state lies on; nil: the disk
	// Fatal is called when the state cannot be written any more; it must not return. nil: panic.
	Fatal func(error)
}

// Home is where a node keeps itself: identity, config, state. One process
// holds it at a time. Its methods work with and without a running node, and may
// be called from many goroutines.
type Home struct {
	dir   string
	key   crypto.PrivKey
	id    peer.ID
	env   func(string) (string, bool)
	flags map[string][]string
	log   *slog.Logger
	state vfs.FS
	fatal func(error)
	lock  *flock.Flock
	db    *store.DB
	clock *event.Clock

	mu       sync.Mutex // guards what follows; held while the config file is rewritten
	config   *configFile
	settings Settings
}

// HomeLockedError says that another process has the home open.
type HomeLockedError struct {
	Dir string
	PID int // 0 when it is not known
}

// Error names the home and, where it is known, the process.
func (e *HomeLockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Dir)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Dir, e.PID)
}

// DefaultHome is $XDG_STATE_HOME/meerkat, ~/.local/state/meerkat by default;
// "" where the environment names neither.
func DefaultHome(env func(string) (string, bool)) string {
	return xdg(env, "XDG_STATE_HOME", ".local/state", "")
}

func xdg(env func(string) (string, bool), name, below, file string) string {
	if d, ok := env(name); ok && filepath.IsAbs(d) {
		return filepath.Join(d, "meerkat", file)
	}
	if d, ok := env("HOME"); ok && d != "" {
		return filepath.Join(d, filepath.FromSlash(below), "meerkat", file)
	}
	return ""
}

// configPath is config.toml in the home. The default home's lies in
// $XDG_CONFIG_HOME/meerkat instead where there is one.
func configPath(dir string, env func(string) (string, bool)) string {
	if dir == DefaultHome(env) {
		p := xdg(env, "XDG_CONFIG_HOME", ".config", "config.toml")
		if _, err := os.Stat(p); p != "" && err == nil {
			return p
		}
	}
	return filepath.Join(dir, "config.toml")
}

// OpenHome locks the home, reads its config, and opens identity and state;
// what is missing is made. Errors are *Error; one that another process has
// open wraps a *HomeLockedError. Close it.
func OpenHome(c HomeConfig) (*Home, error) {
	if c.Env == nil {
		c.Env = os.LookupEnv
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dir == "" {
		c.Dir = DefaultHome(c.Env)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil || c.Dir == "" {
		return nil, trouble("home_unusable", err, "there is no directory for the node's home")
	}
	h := &Home{dir: dir, env: c.Env, flags: c.Flags, log: c.Log, state: c.State, fatal: c.Fatal, clock: event.NewClock()}
	if err := h.open(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *Home) open() error {
	if err := store.MakeDir(vfs.Default, h.dir); err != nil {
		return trouble("home_unusable", err, "cannot make the home %s", h.dir)
	}
	if err := h.takeLock(); err != nil {
		return err
	}
	if err := h.Reload(); err != nil {
		return err
	}
	var err error
	if h.key, err = loadIdentity(h.dir); err != nil {
		return err
	}
	if h.id, err = peer.IDFromPrivateKey(h.key); err != nil {
		return fmt.Errorf("own id: %w", err)
	}
	h.db, err = store.Open(store.Config{Dir: h.StateDir(), Log: h.log, FS: h.state, Fatal: h.fatal})
	return stateTrouble(h.StateDir(), err)
}

// takeLock holds the file lock in the home, with this process's id in it, for
// as long as the home is open.
func (h *Home) takeLock() error {
	path := filepath.Join(h.dir, "lock")
	l := flock.New(path, flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return trouble("home_unusable", err, "cannot lock the home %s", h.dir)
	}
	if !ok {
		held := &HomeLockedError{Dir: h.dir}
		b, _ := os.ReadFile(path) // the id is a courtesy
		held.PID, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return trouble("home_in_use", held, "the home is in use")
	}
	h.lock = l
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return trouble("home_unusable", err, "cannot write %s", path)
	}
	return nil
}

func stateTrouble(dir string, err error) error {
	locked, isLocked := errors.AsType[*store.LockedError](err)
	switch {
	case err == nil:
		return nil
	case isLocked:
		return trouble("home_in_use", &HomeLockedError{Dir: dir, PID: locked.PID}, "the home is in use")
	case errors.Is(err, store.ErrNewerFormat):
		return trouble("state_newer", err, "the state in %s was written by a newer meerkat", dir)
	case errors.Is(err, store.ErrCorrupt):
		return trouble("state_corrupt", err, "the state in %s is damaged", dir)
	}
	return trouble("home_unusable", err, "cannot open the state in %s", dir)
}

// Close lets go of the home. It may be called twice.
func (h *Home) Close() error {
	var err error
	if h.db != nil {
		err = h.db.Close()
	}
	if h.lock != nil {
		err = errors.Join(err, h.lock.Unlock())
	}
	return err
}

// Reload reads the config file again. On an error the old settings stay.
func (h *Home) Reload() error {
	c, err := readConfig(configPath(h.dir, h.env))
	if err != nil {
		return err
	}
	s, err := c.settings(h.env, h.flags)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.config, h.settings = c, s
	return nil
}

// Dir is the home's absolute path.
func (h *Home) Dir() string { return h.dir }

// StateDir is where the state lies.
func (h *Home) StateDir() string { return filepath.Join(h.dir, "state") }

// Key is the node's identity.
func (h *Home) Key() crypto.PrivKey { return h.key }

// ID is the node's peer id.
func (h *Home) ID() peer.ID { return h.id }

// DB is the node's state. The home closes it.
func (h *Home) DB() *store.DB { return h.db }

// Clock stamps what this node says of pools.
func (h *Home) Clock() *event.Clock { return h.clock }

// Settings are those in force now.
func (h *Home) Settings() Settings {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.settings
	s.Listen, s.Peers, s.Bootstrap = slices.Clone(s.Listen), slices.Clone(s.Peers), slices.Clone(s.Bootstrap)
	return s
}

// Name is what the node calls itself.
func (h *Home) Name() string { return h.Settings().Name }

// ConfigPath is the config file, which may not be there yet.
func (h *Home) ConfigPath() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.config.path
}

// Pools lists the pools that config.toml names, in its order.
func (h *Home) Pools() []HomePool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.config.pools)
}

// Set writes a setting into the config file, or takes it out where values is
// nil; comments there stay. Flags and environment still win.
func (h *Home) Set(key string, values []string) error {
	return h.edit(func(c *configFile) (*configFile, error) {
		c, err := c.with(key, values)
		if err != nil || !strings.HasPrefix(key, "ui.") {
			return c, err
		}
		s, err := c.settings(h.env, h.flags)
		if err != nil {
			return nil, err
		}
		return c, s.CheckUI()
	})
}

// edit changes the config file as it is on the disk now, not as it was read.
func (h *Home) edit(f func(*configFile) (*configFile, error)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, err := readConfig(h.config.path)
	if err == nil {
		c, err = f(c)
	}
	if err != nil {
		return err
	}
	s, err := c.settings(h.env, h.flags)
	if err != nil {
		return err
	}
	if err := c.write(); err != nil {
		return err
	}
	h.config, h.settings = c, s
	return nil
}

// token is a short random name.
func token() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, by its contract
	return hex.EncodeToString(b)
}

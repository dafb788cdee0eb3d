package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/node"
)

// lookup is an environment that holds nothing but env.
func lookup(env map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := env[k]; return v, ok }
}

// openHome opens a home in dir with this config text and environment.
func openHome(t *testing.T, dir, config string, c node.HomeConfig) (*node.Home, error) {
	t.Helper()
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Dir = dir
	if c.Env == nil {
		c.Env = lookup(nil)
	}
	h, err := node.OpenHome(c)
	if err == nil {
		t.Cleanup(func() { _ = h.Close() }) // also closed by some tests
	}
	return h, err
}

func mustHome(t *testing.T, dir, config string, c node.HomeConfig) *node.Home {
	t.Helper()
	h, err := openHome(t, dir, config, c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// wantError holds err against a code, an exit code and a part of its text.
func wantError(t *testing.T, what string, err error, code string, exit int, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*node.Error](err)
	if !ok {
		t.Errorf("%s: %v, want an error for people", what, err)
		return
	}
	if e.Code != code || e.Exit != exit {
		t.Errorf("%s: code %s, exit %d, want %s, %d (%v)", what, e.Code, e.Exit, code, exit, err)
	}
	if e.Hint == "" || strings.ContainsAny(e.Message+e.Hint, "\n") {
		t.Errorf("%s: %q, hint %q: want one line each", what, e.Message, e.Hint)
	}
	for _, p := range parts {
		if !strings.Contains(e.Error()+"\n"+e.Hint, p) {
			t.Errorf("%s: %q, hint %q: want %q in it", what, e.Error(), e.Hint, p)
		}
	}
}

func TestBadConfigNamesLineAndKey(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		text  string
		parts []string
	}{
		"unknown key":       {"# hi\n[network]\nlisten = []\nmdsn = 'on'\n", []string{"config.toml:4:", "network.mdsn", "did you mean network.mdns?"}},
		"no section":        {"\nlevel = 'debug'\n", []string{"config.toml:2:", "did you mean log.level?"}},
		"unknown section":   {"[nonsense]\nzzzzzzzz = 1\n", []string{"config.toml:1:", "nonsense"}},
		"syntax":            {"name = 'x'\nname2 = \n", []string{"config.toml:2:"}},
		"wrong value":       {"[log]\n\nlevel = 'loud'\n", []string{"config.toml:3:", "loud", "debug, info, warn, error"}},
		"wrong kind":        {"[safety]\ntrash_days = 'many'\n", []string{"config.toml:2:", "many"}},
		"negative":          {"[safety]\ntrash_days = -1\n", []string{"config.toml:2:", "a whole number, 0 or more"}},
		"list for one":      {"[log]\nlevel = ['info', 'debug']\n", []string{"config.toml:2:"}},
		"bad address":       {"[network]\nlisten = ['0.0.0.0:7716']\n", []string{"config.toml:2:", "0.0.0.0:7716", "/ip4/"}},
		"bad size":          {"[safety]\ndisk_reserve = 'lots'\n", []string{"config.toml:2:", "lots"}},
		"pool id":           {"[[pool]]\nid = 'x'\npath = '/a'\n", []string{"config.toml:1:", "id"}},
		"pool path":         {"[[pool]]\nid = '" + id + "'\npath = 'a'\n", []string{"config.toml:1:", "not absolute"}},
		"pool key":          {"[[pool]]\nid = '" + id + "'\npath = '/a'\nnam = 'x'\n", []string{"unknown key nam"}},
		"pool twice":        {strings.Repeat("[[pool]]\nid = '"+id+"'\npath = '/a'\n", 2), []string{"config.toml:4:", "twice"}},
		"pool as a table":   {"[pool]\nid = 'x'\n", []string{"[[pool]]"}},
		"name of no use":    {"name = \"a\\u001b\"\n", []string{"config.toml:1:"}},
		"dotted at the top": {"network.lisen = []\n", []string{"config.toml:1:", "did you mean network.listen?"}},
	} {
		_, err := openHome(t, t.TempDir(), c.text, node.HomeConfig{})
		wantError(t, name, err, "config_bad", 2, c.parts...)
	}
}

func TestPrecedenceOfSettings(t *testing.T) {
	text := "name = 'file'\n[log]\nlevel = 'warn'\nformat = 'json'\n[network]\npeers = ['/ip4/1.2.3.4/tcp/1']\n[safety]\ndisk_reserve = '1 GiB'\nhold_bursts = true\ntrash_days = 7\n"
	env := map[string]string{"MEERKAT_LOG__LEVEL": "debug", "MEERKAT_NAME": "env", "MEERKAT_NETWORK__PEERS": "/ip4/1.2.3.4/tcp/2, /ip4/1.2.3.4/tcp/3"}
	flags := map[string][]string{"name": {"flag"}}
	s := mustHome(t, t.TempDir(), text, node.HomeConfig{Env: lookup(env), Flags: flags}).Settings()
	got := []any{s.Name, s.LogLevel, s.LogFormat, s.Peers, s.DiskReserve, s.HoldBursts, s.TrashDays, s.MDNS}
	want := []any{"flag", "debug", "json", []string{"/ip4/1.2.3.4/tcp/2", "/ip4/1.2.3.4/tcp/3"}, int64(1 << 30), true, 7, "on"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	_, err := openHome(t, t.TempDir(), "", node.HomeConfig{Env: lookup(map[string]string{"MEERKAT_NETWORK__MDNS": "maybe"})})
	wantError(t, "environment", err, "config_bad", 2, "MEERKAT_NETWORK__MDNS", "maybe")
}

func TestXDGPlaces(t *testing.T) {
	state, conf := t.TempDir(), t.TempDir()
	env := map[string]string{"XDG_STATE_HOME": state, "XDG_CONFIG_HOME": conf, "HOME": "/nowhere"}
	h, err := node.OpenHome(node.HomeConfig{Env: lookup(env)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.ConfigPath(), filepath.Join(state, "meerkat", "config.toml"); got != want {
		t.Errorf("config %s, want %s", got, want)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	xdg := filepath.Join(conf, "meerkat", "config.toml")
	if err := os.MkdirAll(filepath.Dir(xdg), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(xdg, []byte("name = 'xdg'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err = node.OpenHome(node.HomeConfig{Env: lookup(env)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.ConfigPath() != xdg || h.Name() != "xdg" {
		t.Errorf("config %s, name %s", h.ConfigPath(), h.Name())
	}
	if got := node.DefaultHome(lookup(map[string]string{"HOME": "/home/ana"})); got != "/home/ana/.local/state/meerkat" {
		t.Errorf("default home %s", got)
	}
}

func TestEditsKeepComments(t *testing.T) {
	text := `# my node
name = "pi" # a small one

[network]
# the office
peers = [
  "/ip4/10.0.0.1/tcp/7716", # boss
]
mdns = "off"

# quiet
[log]
level = "warn"`
	p := node.HomePool{ID: event.PoolID{1}, Path: `/home/ana/a "b" \c`}
	got, err := node.EditConfig([]byte(text), p, "network.peers", []string{"/ip4/10.0.0.2/tcp/1"})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range got {
		for _, keep := range []string{"# my node\n", "name = \"pi\" # a small one\n", "# the office\n", "mdns = \"off\"\n", "# quiet\n[log]\nlevel = \"warn\"\n"} {
			if !strings.Contains(s, keep) {
				t.Errorf("step %d lost %q:\n%s", i, keep, s)
			}
		}
	}
	if want := "# the office\npeers = [\"/ip4/10.0.0.2/tcp/1\"]\nmdns"; !strings.Contains(got[1], want) {
		t.Errorf("no %q in\n%s", want, got[1])
	}
	if strings.Contains(got[2], "[[pool]]") {
		t.Errorf("the pool is still there:\n%s", got[2])
	}
}

func TestSetOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	h := mustHome(t, dir, "# mine\n[log]\nlevel = 'warn'\n", node.HomeConfig{})
	for _, c := range []struct {
		key    string
		values []string
		want   string
	}{
		{"log.format", []string{"json"}, "# mine\n[log]\nlevel = 'warn'\nformat = \"json\"\n"},
		{"safety.trash_days", []string{"3"}, "# mine\n[log]\nlevel = 'warn'\nformat = \"json\"\n\n[safety]\ntrash_days = 3\n"},
		{"name", []string{"pi"}, "name = \"pi\"\n# mine\n[log]\nlevel = 'warn'\nformat = \"json\"\n\n[safety]\ntrash_days = 3\n"},
		{"log.level", nil, "name = \"pi\"\n# mine\n[log]\nformat = \"json\"\n\n[safety]\ntrash_days = 3\n"},
	} {
		if err := h.Set(c.key, c.values); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "config.toml"))
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != c.want {
			t.Errorf("after %s:\n%s\nwant\n%s", c.key, b, c.want)
		}
	}
	if s := h.Settings(); s.Name != "pi" || s.TrashDays != 3 || s.LogFormat != "json" || s.LogLevel != "info" {
		t.Errorf("settings in force: %+v", s)
	}
	wantError(t, "bad value", h.Set("log.level", []string{"loud"}), "config_bad", 2, "loud")
	wantError(t, "unknown key", h.Set("log.levle", []string{"info"}), "config_bad", 2, "log.level")
}

func FuzzConfig(f *testing.F) {
	id := strings.Repeat("ab", 32)
	f.Add("name = 'x'\n[network]\nlisten = ['/ip4/0.0.0.0/tcp/1']\n[[pool]]\nid = '"+id+"'\npath = '/a'\n", "/b", "pi")
	f.Add("log.level = 'debug'\nsafety = { trash_days = 3 }", "/c\n", "x")
	f.Add("[[pool]]\n\n\n# c\n[log]\n", "/", "")
	f.Fuzz(func(t *testing.T, text, path, name string) {
		before, err := node.ParseConfig("config.toml", []byte(text))
		if err != nil {
			if _, ok := errors.AsType[*node.Error](err); !ok {
				t.Fatalf("not an error for people: %v", err)
			}
			return
		}
		got, err := node.EditConfig([]byte(text), node.HomePool{ID: event.PoolID{1}, Path: filepath.Clean("/" + path)}, "name", []string{name})
		if err != nil {
			return // refused: nothing is written
		}
		after, err := node.ParseConfig("config.toml", []byte(got[2]))
		if err != nil {
			t.Fatalf("the edited text cannot be read: %v\n%s", err, got[2])
		}
		if d := cmp.Diff(before, after); d != "" {
			t.Fatalf("pools changed: %s", d)
		}
	})
}

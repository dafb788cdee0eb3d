package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/dustin/go-humanize"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

// Settings are what a node can be told, by flag, environment, config.toml or
// default, in this precedence. Sizes are bytes, rates bytes per second; 0 is no
// limit for TrashMax and rates. Of DiskReserve never more than a
// hundredth of a disk is kept. Where DHT is "" it is private if there
// are bootstrap nodes, else off.
type Settings struct {
	Name                     string
	Listen, Peers, Bootstrap []string
	DHT, MDNS, Relay         string
	LogLevel, LogFormat      string
	UIAddr, MetricsAddr      string // host:port, or "off"
	UIPassword               string // as package ui hashes it; "" is none
	UIHosts                  []string
	DiskReserve, TrashMax    int64
	TrashDays                int
	HoldBursts               bool
	RateUp, RateDown         int64
	RateWindows              []string // parts of the week with other rates
	RateRelay                int64    // of what is carried for others
}

func defaultSettings() Settings {
	return Settings{
		Name: defaultName(), MDNS: "on", Relay: "auto", LogLevel: "info", LogFormat: "text",
		UIAddr: DefaultUIAddr, MetricsAddr: Off,
		DiskReserve: 1 << 30, TrashDays: 30,
	}
}

// defaultName is the machine's name, made fit to name a node.
func defaultName() string {
	name, err := os.Hostname()
	name, _, _ = strings.Cut(name, ".")
	if len(name) > pool.MaxName {
		name = strings.ToValidUTF8(name[:pool.MaxName], "")
	}
	if err != nil || pool.CheckName(name) != nil {
		return "node"
	}
	return name
}

// setting is one key of the config file. field points into Settings at a
// *string, *[]string, *bool, *int, or at an *int64, which is a size. check, where there is one,
// looks at each string.
type setting struct {
	key   string
	field func(*Settings) any
	check func(string) error
}

// settingTable lists every key; MEERKAT_ and the key in capitals, with __ for
// the dot, is its environment variable.
func settingTable() []setting {
	return []setting{
		{"name", func(s *Settings) any { return &s.Name }, pool.CheckName},
		{"network.listen", func(s *Settings) any { return &s.Listen }, checkAddr},
		{"network.peers", func(s *Settings) any { return &s.Peers }, checkAddr},
		{"network.bootstrap", func(s *Settings) any { return &s.Bootstrap }, checkAddr},
		{"network.dht", func(s *Settings) any { return &s.DHT }, oneOf("off", "private", "public")},
		{"network.mdns", func(s *Settings) any { return &s.MDNS }, oneOf("on", "off")},
		{"network.relay", func(s *Settings) any { return &s.Relay }, oneOf("auto", "on", "off")},
		{"log.level", func(s *Settings) any { return &s.LogLevel }, oneOf("debug", "info", "warn", "error")},
		{"log.format", func(s *Settings) any { return &s.LogFormat }, oneOf("text", "json")},
		{"ui.addr", func(s *Settings) any { return &s.UIAddr }, checkTCPAddr},
		{"ui.password", func(s *Settings) any { return &s.UIPassword }, checkHash},
		{"ui.hosts", func(s *Settings) any { return &s.UIHosts }, nil},
		{"metrics.addr", func(s *Settings) any { return &s.MetricsAddr }, checkTCPAddr},
		{"safety.disk_reserve", func(s *Settings) any { return &s.DiskReserve }, nil},
		{"safety.hold_bursts", func(s *Settings) any { return &s.HoldBursts }, nil},
		{"safety.trash_days", func(s *Settings) any { return &s.TrashDays }, nil},
		{"safety.trash_max", func(s *Settings) any { return &s.TrashMax }, nil},
		{"bandwidth.up", func(s *Settings) any { return &s.RateUp }, nil},
		{"bandwidth.down", func(s *Settings) any { return &s.RateDown }, nil},
		{"bandwidth.windows", func(s *Settings) any { return &s.RateWindows }, checkWindow},
		{"bandwidth.relay", func(s *Settings) any { return &s.RateRelay }, nil},
	}
}

func findSetting(key string) (setting, bool) {
	t := settingTable()
	i := slices.IndexFunc(t, func(s setting) bool { return s.key == key })
	if i < 0 {
		return setting{}, false
	}
	return t[i], true
}

func settingKeys() (keys []string) {
	for _, s := range settingTable() {
		keys = append(keys, s.key)
	}
	return keys
}

func checkAddr(s string) error {
	if _, err := ma.NewMultiaddr(s); err != nil {
		return fmt.Errorf("%q is not a multiaddr such as /ip4/192.168.1.5/tcp/7716: %w", s, err)
	}
	return nil
}

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("%q is not one of %s", s, strings.Join(values, ", "))
		}
		return nil
	}
}

// put sets the field from values, which are one unless the field is a list.
func (t setting) put(s *Settings, values []string) error {
	if list, ok := t.field(s).(*[]string); ok {
		*list = values
		return t.checkAll(values)
	}
	if len(values) != 1 {
		return fmt.Errorf("%d values, it takes one", len(values))
	}
	if err := t.checkAll(values); err != nil {
		return err
	}
	return putOne(t.field(s), values[0])
}

func (t setting) checkAll(values []string) error {
	for _, v := range values {
		if t.check == nil {
			break
		}
		if err := t.check(v); err != nil {
			return err
		}
	}
	return nil
}

func putOne(field any, v string) (err error) {
	switch f := field.(type) {
	case *string:
		*f = v
	case *bool:
		*f, err = strconv.ParseBool(v)
	case *int:
		*f, err = strconv.Atoi(v)
		if err == nil && *f < 0 {
			err = strconv.ErrRange
		}
	case *int64:
		var n uint64
		n, err = humanize.ParseBytes(v)
		if err == nil && n > 1<<62 {
			err = strconv.ErrRange
		}
		*f = int64(min(n, 1<<62))
	}
	if err != nil {
		return fmt.Errorf("%q cannot be used: %s", v, wanted(field))
	}
	return nil
}

// wanted says what a field takes.
func wanted(field any) string {
	switch field.(type) {
	case *bool:
		return "it is true or false"
	case *int64:
		return "it is a size such as 500kB or 2MB, 0 for none"
	}
	return "it is a whole number, 0 or more"
}

// HomePool is one pool of this node: its id, and the absolute path of its folder.
type HomePool struct {
	ID   event.PoolID
	Path string
}

// configFile is what config.toml says, with its text.
type configFile struct {
	path   string
	text   []byte
	values map[string][]string
	pools  []HomePool
}

// readConfig reads a config file; one that is not there is empty. Trouble is
// an *Error that names file and line.
func readConfig(path string) (*configFile, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, trouble("home_unusable", err, "cannot read %s", path)
	}
	return parseConfig(path, b)
}

func parseConfig(path string, text []byte) (*configFile, error) {
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		if p, ok := errors.AsType[toml.ParseError](err); ok {
			return nil, trouble("config_bad", nil, "%s:%d: %s", path, p.Position.Line, p.Message)
		}
		return nil, trouble("config_bad", err, "%s cannot be read", path)
	}
	c := &configFile{path: path, text: text, values: map[string][]string{}}
	if err := c.takePools(tree); err != nil {
		return nil, err
	}
	delete(tree, "pool")
	return c, c.take("", tree)
}

// take reads the settings below prefix, and refuses what is none.
func (c *configFile) take(prefix string, tree map[string]any) error {
	for _, name := range slices.Sorted(mapKeys(tree)) {
		key := prefix + name
		if sub, ok := tree[name].(map[string]any); ok && isSection(key) {
			if err := c.take(key+".", sub); err != nil {
				return err
			}
			continue
		}
		s, ok := findSetting(key)
		if !ok {
			return c.unknown(key)
		}
		values, err := tomlStrings(tree[name])
		if err == nil {
			err = s.put(&Settings{}, values)
		}
		if err != nil {
			return trouble("config_bad", nil, "%s:%d: %s: %s", c.path, lineOf(c.text, key), key, err)
		}
		c.values[key] = values
	}
	return nil
}

func isSection(key string) bool {
	return slices.ContainsFunc(settingTable(), func(s setting) bool { return strings.HasPrefix(s.key, key+".") })
}

func (c *configFile) unknown(key string) error {
	e := trouble("config_bad", nil, "%s:%d: unknown key %s", c.path, lineOf(c.text, key), key)
	if near := NearestKey(key, settingKeys()); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	} else {
		e.Hint = "remove that line"
	}
	return e
}

func tomlStrings(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case bool, int64:
		return []string{fmt.Sprint(v)}, nil
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return nil, fmt.Errorf("%v is not a string", x)
			}
			out = append(out, s)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%v is of no kind that it takes", v)
}

// takePools reads the [[pool]] tables.
func (c *configFile) takePools(tree map[string]any) error {
	list, ok := tree["pool"].([]map[string]any)
	if !ok && tree["pool"] != nil {
		return trouble("config_bad", nil, "%s:%d: pools are written as [[pool]]", c.path, lineOf(c.text, "pool"))
	}
	for i, m := range list {
		p, err := takePool(m)
		if err == nil && slices.ContainsFunc(c.pools, func(o HomePool) bool { return o.ID == p.ID }) {
			err = errors.New("the same pool twice")
		}
		if err != nil {
			return trouble("config_bad", nil, "%s:%d: [[pool]]: %s", c.path, poolLine(c.text, i), err)
		}
		c.pools = append(c.pools, p)
	}
	return nil
}

func takePool(m map[string]any) (HomePool, error) {
	for key := range m {
		if key != "id" && key != "path" {
			return HomePool{}, fmt.Errorf("unknown key %s: it has id and path", key)
		}
	}
	text, _ := m["id"].(string)
	path, _ := m["path"].(string)
	id, err := event.ParsePoolID(text)
	if err != nil {
		return HomePool{}, fmt.Errorf("id: %w", err)
	}
	if !filepath.IsAbs(path) {
		return HomePool{}, fmt.Errorf("path %q is not absolute", path)
	}
	return HomePool{ID: id, Path: filepath.Clean(path)}, nil
}

// settings resolves the precedence: default, file, environment, flag. A flag
// is named by its key.
func (c *configFile) settings(env func(string) (string, bool), flags map[string][]string) (Settings, error) {
	s := defaultSettings()
	for _, t := range settingTable() {
		if v, ok := c.values[t.key]; ok {
			_ = t.put(&s, v) // take has tried it
		}
		if err := t.fromEnv(&s, env); err != nil {
			return Settings{}, err
		}
		if v, ok := flags[t.key]; ok {
			if err := t.put(&s, v); err != nil {
				return Settings{}, &Error{Code: "usage", Message: "flag for " + t.key, Hint: "see --help", Exit: exitUsage, Err: err}
			}
		}
	}
	for key := range flags {
		if _, ok := findSetting(key); !ok {
			return Settings{}, fmt.Errorf("flag for %q, which is no setting", key)
		}
	}
	return s, nil
}

func (t setting) fromEnv(s *Settings, env func(string) (string, bool)) error {
	v, ok := env(envName(t.key))
	if !ok {
		return nil
	}
	values := []string{v}
	if _, list := t.field(s).(*[]string); list {
		values = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
	}
	if err := t.put(s, values); err != nil {
		return &Error{Code: "config_bad", Message: "environment variable " + envName(t.key), Hint: "correct or unset it", Exit: exitUsage, Err: err}
	}
	return nil
}

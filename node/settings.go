package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/time/rate"
)

// followed lists the settings that a running node follows without a new start.
var followed = []string{
	"bandwidth.down", "bandwidth.relay", "bandwidth.up", "bandwidth.windows", "log.level", "safety.disk_reserve", "safety.hold_bursts",
	"safety.trash_days", "safety.trash_max", "ui.hosts", "ui.password",
}

// ConfigPath is where the config file of a home lies; it may not be there.
// Dir "" is DefaultHome.
func ConfigPath(dir string, env func(string) (string, bool)) (string, error) {
	if dir == "" {
		dir = DefaultHome(env)
	}
	dir, err := filepath.Abs(dir)
	return configPath(dir, env), err
}

// CheckConfig reads a config file as a node would, and says what is wrong with
// it, or nil. One that is not there is right.
func CheckConfig(path string, env func(string) (string, bool)) error {
	c, err := readConfig(path)
	if err != nil {
		return err
	}
	s, err := c.settings(env, nil)
	if err != nil {
		return err
	}
	return s.CheckUI()
}

// SettingList gives every setting with its value and where that comes from, in
// the order of the table.
func (h *Home) SettingList() []SettingInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	def := defaultSettings()
	var out []SettingInfo
	for _, t := range settingTable() {
		info := SettingInfo{
			Schema: SchemaSetting, Key: t.key, Values: t.shown(&h.settings), Default: t.get(&def), Source: "default",
			Restart: !slices.Contains(followed, t.key),
		}
		if _, ok := h.config.values[t.key]; ok {
			info.Source = "file"
		}
		if _, ok := h.env(envName(t.key)); ok {
			info.Source = "environment"
		}
		if _, ok := h.flags[t.key]; ok {
			info.Source = "flag"
		}
		out = append(out, info)
	}
	return out
}

// SetSetting writes a setting into the config file, or takes it out where
// values is nil, and gives what is in force now.
func (h *Home) SetSetting(key string, values []string) (SettingInfo, error) {
	if err := h.Set(key, values); err != nil {
		return SettingInfo{}, err
	}
	return findInfo(h.SettingList(), key)
}

func findInfo(all []SettingInfo, key string) (SettingInfo, error) {
	i := slices.IndexFunc(all, func(s SettingInfo) bool { return s.Key == key })
	if i < 0 {
		return SettingInfo{}, trouble("config_bad", nil, "unknown key %s", key)
	}
	return all[i], nil
}

// get reads the field as strings.
func (t setting) get(s *Settings) []string {
	switch f := t.field(s).(type) {
	case *[]string:
		return append([]string{}, *f...)
	case *string:
		return []string{*f}
	case *bool:
		return []string{strconv.FormatBool(*f)}
	case *int:
		return []string{strconv.Itoa(*f)}
	case *int64:
		return []string{strconv.FormatInt(*f, 10)}
	}
	return nil
}

// shown is get, without what is nobody's business.
func (t setting) shown(s *Settings) []string {
	values := t.get(s)
	if t.key == "ui.password" && values[0] != "" {
		return []string{"(set)"}
	}
	return values
}

// SettingList gives every setting of the running node.
func (n *Node) SettingList(context.Context) ([]SettingInfo, error) { return n.home.SettingList(), nil }

// SetSetting writes a setting, and follows it at once where that is possible.
func (n *Node) SetSetting(_ context.Context, key string, values []string) (SettingInfo, error) {
	info, err := n.home.SetSetting(key, values)
	if err == nil {
		n.applySettings()
	}
	return info, err
}

// Reload reads the configuration again, and follows what can be followed
// without a new start.
func (n *Node) Reload(context.Context) error {
	if err := n.home.Reload(); err != nil {
		return err
	}
	n.applySettings()
	return nil
}

// applySettings makes the running parts follow the settings in force.
func (n *Node) applySettings() {
	s := n.home.Settings()
	n.limit()
	setRate(n.carried, s.RateRelay)
	for _, r := range n.all() {
		r.pruneNow.poke()
	}
	if n.conf.Applied != nil {
		n.conf.Applied(s)
	}
}

const (
	leastBurst = 4 << 10
	mostBurst  = 256 << 10
)

// setRate limits l to bytes per second; 0 is no limit.
func setRate(l *rate.Limiter, bytes int64) {
	if bytes == 0 {
		l.SetLimit(rate.Inf)
		return
	}
	// A quarter of a second at once, so that a slow link does not look dead.
	l.SetBurst(int(max(leastBurst, min(mostBurst, bytes/4))))
	l.SetLimit(rate.Limit(bytes))
}

func newLimiter(bytes int64) *rate.Limiter {
	l := rate.NewLimiter(rate.Inf, mostBurst)
	setRate(l, bytes)
	return l
}

// ReplaceConfig puts text in the place of a config file, durably, once it has
// been checked. Comments are the text's.
func ReplaceConfig(path string, text []byte, env func(string) (string, bool)) error {
	c, err := parseConfig(path, text)
	if err == nil {
		_, err = c.settings(env, nil)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return errors.Join(fmt.Errorf("make %s", filepath.Dir(path)), err)
	}
	return c.write()
}

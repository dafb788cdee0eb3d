package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

// upkeepCmds are the commands about running a node.
func (a *app) upkeepCmds() []*cobra.Command {
	return []*cobra.Command{a.configCmd(), a.uiCmd(), a.pauseCmd(), a.resumeCmd(), a.serviceCmd(), a.bugreportCmd()}
}

// SettingList gives every setting of the home.
func (o offline) SettingList(context.Context) ([]node.SettingInfo, error) {
	return o.home.SettingList(), nil
}

// SetSetting writes a setting into the home's config file.
func (o offline) SetSetting(_ context.Context, key string, values []string) (node.SettingInfo, error) {
	return o.home.SetSetting(key, values)
}

func (a *app) configCmd() *cobra.Command {
	ls := command("ls", "List every setting, its value, and where that comes from", "  meerkat config ls", takes(0, 0), func(ctx context.Context, _ []string) error {
		return a.anywhere(ctx, func(b control.Backend) error { return a.listSettings(ctx, b) })
	})
	get := command("get KEY", "Show one setting", "  meerkat config get bandwidth.up", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error { return a.getSetting(ctx, b, args[0]) })
	})
	set := command("set KEY VALUE...", "Change a setting", "  meerkat config set bandwidth.up 2MB\n  meerkat config set network.peers /ip4/10.0.0.7/tcp/7716 /ip4/10.0.0.8/tcp/7716", takes(2, -1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error { return a.setSetting(ctx, b, args[0], args[1:]) })
	})
	unset := command("unset KEY", "Take a setting out of the file: its default counts", "  meerkat config unset bandwidth.up", takes(1, 1), func(ctx context.Context, args []string) error {
		return a.anywhere(ctx, func(b control.Backend) error { return a.setSetting(ctx, b, args[0], nil) })
	})
	for _, c := range []*cobra.Command{get, set, unset} {
		c.ValidArgsFunction = a.completeKeys
	}
	path := command("path", "Where the config file is", "  less \"$(meerkat config path)\"", takes(0, 0), func(context.Context, []string) error { return a.configPath() })
	check := command("check [FILE]", "Is the config file right?", "  meerkat config check", takes(0, 1), func(_ context.Context, args []string) error { return a.checkConfig(strings.Join(args, "")) })
	check.ValidArgsFunction = nil // files
	edit := command("edit", "Edit the config file; a mistake is told before it counts", "  EDITOR=vim meerkat config edit", takes(0, 0), func(ctx context.Context, _ []string) error { return a.editConfig(ctx) })
	return group("config", "Settings of this node", `  meerkat config ls
  meerkat config set bandwidth.up 2MB
  meerkat config unset bandwidth.up`, ls, get, set, unset, path, check, edit)
}

func (a *app) completeKeys(_ *cobra.Command, args []string, _ string) ([]string, completion) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.fromNode(func(ctx context.Context, b control.Backend) (keys []string) {
		all, _ := b.SettingList(ctx) // no settings, no words
		for _, s := range all {
			keys = append(keys, s.Key)
		}
		return keys
	})
}

func (a *app) listSettings(ctx context.Context, b control.Backend) error {
	all, err := b.SettingList(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return objects(a, all)
	}
	rows := make([][]string, 0, len(all))
	for _, s := range all {
		rows = append(rows, []string{s.Key, clean(strings.Join(s.Values, " ")), s.Source})
	}
	return a.table([]string{"KEY", "VALUE", "FROM"}, rows)
}

func (a *app) getSetting(ctx context.Context, b control.Backend, key string) error {
	all, err := b.SettingList(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Key != key {
			continue
		}
		if a.json {
			return a.object(s)
		}
		for _, v := range s.Values {
			if err := a.print("%s", clean(v)); err != nil {
				return err
			}
		}
		return nil
	}
	return unknownKey(all, key)
}

func unknownKey(all []node.SettingInfo, key string) error {
	hint := `"meerkat config ls" lists them`
	var keys []string
	for _, s := range all {
		keys = append(keys, s.Key)
	}
	if near := node.NearestKey(key, keys); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &node.Error{Code: "config_bad", Message: "there is no setting " + key, Hint: hint, Exit: exitUsage}
}

func (a *app) setSetting(ctx context.Context, b control.Backend, key string, values []string) error {
	all, err := b.SettingList(ctx)
	if err != nil {
		return err
	}
	known := false
	for _, s := range all {
		known = known || s.Key == key
	}
	if !known {
		return unknownKey(all, key)
	}
	s, err := b.SetSetting(ctx, key, values)
	if err != nil {
		return err
	}
	if a.json {
		return a.object(s)
	}
	_, here := b.(offline)
	switch {
	case s.Source == "flag" || s.Source == "environment":
		a.say("written, but the %s wins over the file: it is %s", s.Source, clean(strings.Join(s.Values, " ")))
	case s.Restart && !here:
		a.say("it takes effect at the next start of the node")
	}
	return nil
}

func (a *app) configPath() error {
	path, err := node.ConfigPath(a.home, a.env)
	if err != nil {
		return err
	}
	if a.json {
		return a.object(configFile{SchemaConfig, path})
	}
	return a.print("%s", path)
}

// configFile is the answer of config path and config check.
type configFile struct {
	Schema string `json:"schema"`
	Path   string `json:"path"`
}

// SchemaConfig names that answer.
const SchemaConfig = "meerkat.config/v1"

func (a *app) checkConfig(path string) error {
	if path == "" {
		var err error
		if path, err = node.ConfigPath(a.home, a.env); err != nil {
			return err
		}
	} else if _, err := os.Stat(path); err != nil {
		return &node.Error{Code: "no_file", Message: "cannot read " + path, Hint: "check the name", Exit: exitNotFound, Err: err}
	}
	if err := node.CheckConfig(path, a.env); err != nil {
		return err
	}
	if a.json {
		return a.object(configFile{SchemaConfig, path})
	}
	a.say("%s is right", clean(path))
	return nil
}

// editConfig lets a person edit a copy, which replaces the file once it is right.
func (a *app) editConfig(ctx context.Context) error {
	if !a.terminal && a.editor() == defaultEditor {
		return usage("there is no terminal to edit on", `use "meerkat config set", or set EDITOR to a program that needs none`)
	}
	path, err := node.ConfigPath(a.home, a.env)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir, err := os.MkdirTemp("", "meerkat-config-")
	if err != nil {
		return err
	}
	draft := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(draft, old, 0o600); err != nil {
		return err
	}
	for {
		if err := a.openEditor(ctx, draft); err != nil {
			return err
		}
		text, err := os.ReadFile(draft)
		if err != nil {
			return err
		}
		if bytes.Equal(text, old) {
			a.say("nothing was changed")
			return os.RemoveAll(dir)
		}
		err = node.ReplaceConfig(path, text, a.env)
		if err == nil {
			return errors.Join(os.RemoveAll(dir), a.followConfig(ctx))
		}
		a.say("meerkat: %s", clean(control.Flat(err).Message))
		if !a.terminal {
			return err
		}
		again, asked := a.ask("edit it again? [y/N] ")
		if asked != nil || !again {
			a.say("what you wrote is in %s", clean(draft))
			return err
		}
	}
}

// followConfig has a running node read its config again.
func (a *app) followConfig(ctx context.Context) error {
	c := control.NewClient(a.home)
	if !c.Running(ctx) {
		return nil
	}
	a.say("settings of the network, of addresses and of the log's form take effect at the next start")
	return c.Reload(ctx)
}

const defaultEditor = "vi"

func (a *app) editor() string {
	return cmp.Or(strings.TrimSpace(a.getenv("VISUAL")), strings.TrimSpace(a.getenv("EDITOR")), defaultEditor)
}

func (a *app) openEditor(ctx context.Context, path string) error {
	words := strings.Fields(a.editor())
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], path)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
	if err := cmd.Run(); err != nil {
		return &node.Error{Code: "no_editor", Message: "the editor " + words[0] + " failed", Hint: "set EDITOR; nothing was changed", Exit: exitFailed, Err: err}
	}
	return nil
}

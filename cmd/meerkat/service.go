package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

const unitName = "meerkat.service"

// service is what service commands work on: the unit of this user, or of the system.
type service struct {
	system  bool
	manager string   // systemd or launchd
	as      string   // the user that a system service runs as
	write   []string // folders besides the pools' that a system service may write
}

// ownManager is what starts programs on this system.
func ownManager() string {
	if runtime.GOOS == "darwin" {
		return "launchd"
	}
	return "systemd"
}

func (a *app) serviceCmd() *cobra.Command {
	var s service
	install := command("install", "Start the node with the machine, or with your session", `  meerkat service install                            # for you: systemctl --user
  sudo meerkat service install --system --as ana     # for the machine, as the user ana
  meerkat service install --print                    # only show the unit
  meerkat service install --print --manager launchd  # the same for macOS`, takes(0, 0), nil)
	var show, later bool
	install.RunE = func(c *cobra.Command, _ []string) error { return a.installService(c.Context(), s, show, later) }
	install.Flags().StringVar(&s.as, "as", "", "with --system: the `USER` it runs as")
	install.Flags().StringArrayVar(&s.write, "folder", nil, "with --system: a `DIR` besides the pools' that it may write (repeatable)")
	install.Flags().BoolVar(&show, "print", false, "print the unit, and change nothing")
	install.Flags().BoolVar(&later, "no-start", false, "write the unit, and do not start it")
	uninstall := command("uninstall", "Stop it, and take the unit away", "  meerkat service uninstall", takes(0, 0), func(ctx context.Context, _ []string) error { return a.uninstallService(ctx, s) })
	status := command("status", "Is it installed, and does it run? (exit 3 if it does not)", "  meerkat service status", takes(0, 0), func(ctx context.Context, _ []string) error { return a.serviceStatus(ctx, s) })
	for _, c := range []*cobra.Command{install, uninstall, status} {
		c.Flags().BoolVar(&s.system, "system", false, "the machine's service, not that of your session")
		c.Flags().StringVar(&s.manager, "manager", ownManager(), "what starts programs here: `systemd|launchd`")
		_ = c.RegisterFlagCompletionFunc("manager", cobra.FixedCompletions([]string{"systemd", "launchd"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	}
	return group("service", "Run the node as a service of systemd or launchd", "  meerkat service install\n  meerkat service status", install, uninstall, status)
}

// path is where the unit lies.
func (s service) path(a *app) (string, error) {
	home := a.getenv("HOME")
	switch {
	case s.manager != "systemd" && s.manager != "launchd":
		return "", usage("there is no manager "+clean(s.manager), "it is systemd or launchd")
	case s.system && s.manager == "launchd":
		return "/Library/LaunchDaemons/" + launchLabel + ".plist", nil
	case s.system:
		return "/etc/systemd/system/" + unitName, nil
	case home == "":
		return "", usage("there is no home directory to keep the unit in", "set HOME")
	case s.manager == "launchd":
		return filepath.Join(home, "Library", "LaunchAgents", launchLabel+".plist"), nil
	}
	dir := a.getenv("XDG_CONFIG_HOME")
	if dir == "" {
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "systemd", "user", unitName), nil
}

func (a *app) installService(ctx context.Context, s service, show, later bool) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	unit, err := a.unit(ctx, s)
	if err != nil {
		return err
	}
	if show {
		_, err := a.out.Write([]byte(unit))
		return err
	}
	if s.system && os.Getuid() != 0 {
		return &node.Error{Code: "needs_root", Message: "a service of the machine is installed by root", Hint: "put sudo before it, or leave --system out", Exit: exitNotAllowed}
	}
	if err := writeUnit(path, unit); err != nil {
		return err
	}
	a.say("wrote %s", clean(path))
	if s.manager == "launchd" {
		return a.launch(ctx, s, path, later)
	}
	if err := a.systemctl(ctx, s, "daemon-reload"); err != nil || later {
		return err
	}
	if err := a.systemctl(ctx, s, "enable", "--now", unitName); err != nil {
		return err
	}
	if !s.system {
		a.say("it starts with your session; to have it run without one: loginctl enable-linger")
	}
	return nil
}

func writeUnit(path, unit string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(unit), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func (a *app) uninstallService(ctx context.Context, s service) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return &node.Error{Code: "not_installed", Message: "no service is installed", Hint: `"meerkat service install" installs it`, Exit: exitNotFound}
	}
	if s.manager == "launchd" {
		return errors.Join(a.launchctl(ctx, "bootout", s.domain()+"/"+launchLabel), os.Remove(path))
	}
	if err := a.systemctl(ctx, s, "disable", "--now", unitName); err != nil {
		return err
	}
	return errors.Join(os.Remove(path), a.systemctl(ctx, s, "daemon-reload"))
}

// serviceInfo is the answer of service status.
type serviceInfo struct {
	Schema    string `json:"schema"`
	Installed bool   `json:"installed"`
	Unit      string `json:"unit"`
	Enabled   string `json:"enabled"` // the word of systemctl is-enabled
	Active    string `json:"active"`  // the word of systemctl is-active
}

func (a *app) serviceStatus(ctx context.Context, s service) error {
	path, err := s.path(a)
	if err != nil {
		return err
	}
	info := serviceInfo{Schema: "meerkat.service/v1", Unit: path}
	if _, err := os.Stat(path); err != nil {
		return &node.Error{Code: "not_installed", Message: "no service is installed", Hint: `"meerkat service install" installs it`, Exit: exitNotFound}
	}
	info.Installed = true
	if s.manager == "launchd" {
		info.Enabled, info.Active = "enabled", a.askLaunchd(ctx, s)
	} else {
		info.Enabled, info.Active = a.askSystemd(ctx, s, "is-enabled"), a.askSystemd(ctx, s, "is-active")
	}
	if a.json {
		err = a.object(info)
	} else {
		err = a.print("%s\t%s\t%s", info.Active, info.Enabled, clean(path))
	}
	if err == nil && info.Active != "active" {
		return &node.Error{Code: "not_running", Message: "the service does not run", Hint: s.logHint(a.home), Exit: 3}
	}
	return err
}

func (s service) logHint(home string) string {
	if s.manager == "launchd" {
		return "look at its log in " + clean(launchLog(home))
	}
	return `look at its log with "journalctl ` + s.scope() + ` -u meerkat"`
}

func (s service) scope() string {
	if s.system {
		return "--system"
	}
	return "--user"
}

// askSystemd gives the one word of a question; that it answers no is no error.
func (a *app) askSystemd(ctx context.Context, s service, verb string) string {
	out, err := exec.CommandContext(ctx, "systemctl", s.scope(), verb, unitName).Output()
	if word := strings.TrimSpace(string(out)); word != "" || err == nil {
		return word
	}
	return "unknown"
}

func (a *app) systemctl(ctx context.Context, s service, args ...string) error {
	cmd := exec.CommandContext(ctx, "systemctl", append([]string{s.scope()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &node.Error{Code: "no_systemd", Message: "there is no systemctl here", Hint: `start "meerkat up" by what this system starts programs with`, Exit: exitFailed}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return &node.Error{Code: "systemd_failed", Message: "systemctl " + strings.Join(args, " ") + " failed: " + line, Hint: "is systemd running for this user?", Exit: exitFailed, Err: err}
}

// unit is the text of the unit.
func (a *app) unit(ctx context.Context, s service) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if s.system && s.as == "" {
		s.as = a.getenv("SUDO_USER")
	}
	if s.system && s.as == "" {
		return "", usage("whom shall the service run as?", "add --as USER")
	}
	if s.manager == "launchd" {
		return plist(s, exe, a.home), nil
	}
	head := "[Unit]\nDescription=meerkat, keeps folders equal on all your machines\nDocumentation=https://github.com/bwaklog/meerkat\nAfter=network-online.target\nWants=network-online.target\n"
	run, err := runSection(exe, a.home)
	if err != nil {
		return "", err
	}
	harden := "\nNoNewPrivileges=yes\nLockPersonality=yes\nMemoryDenyWriteExecute=yes\nRestrictRealtime=yes\nRestrictSUIDSGID=yes\nSystemCallArchitectures=native\nSystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
	target := "default.target"
	if s.system {
		target = "multi-user.target"
		more, err := a.systemUnit(ctx, s)
		if err != nil {
			return "", err
		}
		harden += more
	}
	return head + run + harden + "\n[Install]\nWantedBy=" + target + "\n", nil
}

// runSection says how the node is run.
func runSection(exe, home string) (string, error) {
	program, err := quoteCommand(exe)
	if err != nil {
		return "", err
	}
	if home, err = quoteCommand(home); err != nil {
		return "", err
	}
	// The second Type is for systemd 253 and newer; an older one passes over it.
	return fmt.Sprintf("\n[Service]\nType=notify\nType=notify-reload\nWatchdogSec=60\nExecStart=%s --home %s up\nRestart=on-failure\nRestartSec=5\nTimeoutStopSec=15\nOOMPolicy=continue\nUMask=0077\n", program, home), nil
}

// systemUnit is what only a service of the machine can ask for: it may write its home and its pools, and nothing else.
func (a *app) systemUnit(ctx context.Context, s service) (string, error) {
	u, err := user.Lookup(s.as)
	if err != nil {
		return "", &node.Error{Code: "no_user", Message: "there is no user " + s.as, Hint: "give another --as", Exit: exitNotFound, Err: err}
	}
	paths := []string{a.home}
	b, done, err := a.backend(ctx)
	if err == nil {
		pools, bad := b.Pools(ctx)
		err = errors.Join(bad, done())
		for _, p := range pools {
			paths = append(paths, p.Path)
		}
	}
	if err != nil {
		return "", err
	}
	for _, f := range s.write {
		abs, err := filepath.Abs(f)
		if err != nil {
			return "", err
		}
		paths = append(paths, abs)
	}
	text := "\nUser=" + u.Username + "\nProtectSystem=strict\nProtectHome=read-only\nPrivateTmp=yes\nPrivateDevices=yes\nProtectKernelTunables=yes\nProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectControlGroups=yes\nProtectClock=yes\nProtectHostname=yes\nRestrictNamespaces=yes\nCapabilityBoundingSet=\nAmbientCapabilities=\n"
	for _, p := range paths {
		word, err := quoteUnit(p)
		if err != nil {
			return "", err
		}
		text += "ReadWritePaths=" + word + "\n"
	}
	return text, nil
}

// quoteUnit is a word of a unit file: percent signs are doubled, and it is put in quotes where it must be. A word that would
// end its line is refused: root reads what follows.
func quoteUnit(s string) (string, error) {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", usage(clean(s)+" cannot stand in a unit: there is a control character in it", "move or rename it")
	}
	s = strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`).Replace(s)
	if strings.ContainsAny(s, " ;'") {
		return `"` + s + `"`, nil
	}
	return s, nil
}

// quoteCommand is a word of a command line in a unit, where a dollar would begin a variable.
func quoteCommand(s string) (string, error) {
	return quoteUnit(strings.ReplaceAll(s, "$", "$$"))
}

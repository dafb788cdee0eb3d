package main

import (
	"context"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bwaklog/meerkat/node"
)

const launchLabel = "io.github.bwaklog.meerkat"

// launchLog is where launchd puts what the node says.
func launchLog(home string) string { return filepath.Join(home, "meerkat.log") }

// plist is the service as launchd wants it: kept alive, unless it ended by itself and without an error.
func plist(s service, exe, home string) string {
	var b strings.Builder
	b.WriteString(xml.Header)
	b.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n<plist version=\"1.0\">\n<dict>\n")
	key := func(k, v string) { b.WriteString("\t<key>" + k + "</key>\n\t" + v + "\n") }
	key("Label", plistString(launchLabel))
	key("ProgramArguments", "<array>"+plistString(exe)+plistString("--home")+plistString(home)+plistString("up")+"</array>")
	if s.as != "" {
		key("UserName", plistString(s.as))
	}
	key("RunAtLoad", "<true/>")
	key("KeepAlive", "<dict><key>SuccessfulExit</key><false/></dict>")
	key("ExitTimeOut", "<integer>15</integer>")
	key("Umask", "<integer>"+strconv.Itoa(0o077)+"</integer>")
	key("StandardErrorPath", plistString(launchLog(home)))
	b.WriteString("</dict>\n</plist>\n")
	return b.String()
}

func plistString(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a builder takes everything
	return "<string>" + b.String() + "</string>"
}

// domain is where launchd keeps the service.
func (s service) domain() string {
	if s.system {
		return "system"
	}
	return "gui/" + strconv.Itoa(os.Getuid())
}

func (a *app) launch(ctx context.Context, s service, path string, later bool) error {
	if later {
		return nil
	}
	return a.launchctl(ctx, "bootstrap", s.domain(), path)
}

// askLaunchd gives the state in systemd's words.
func (a *app) askLaunchd(ctx context.Context, s service) string {
	out, _ := exec.CommandContext(ctx, "launchctl", "print", s.domain()+"/"+launchLabel).Output() // unknown: it is not loaded
	if strings.Contains(string(out), "state = running") {
		return "active"
	}
	return "inactive"
}

func (a *app) launchctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "launchctl", args...).CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &node.Error{Code: "no_launchd", Message: "there is no launchctl here", Hint: `is this a Mac? else leave --manager out`, Exit: exitFailed}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return &node.Error{Code: "launchd_failed", Message: "launchctl " + strings.Join(args, " ") + " failed: " + line, Hint: "is somebody logged in at this Mac?", Exit: exitFailed, Err: err}
}

package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/bwaklog/meerkat/node"
	"github.com/spf13/cobra"
)

type versionInfo struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func buildVersion() versionInfo {
	v := versionInfo{Schema: node.SchemaVersion, Version: node.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func (a *app) versionCmd() *cobra.Command {
	return command("version", "Which meerkat this is", "  meerkat version --json", takes(0, 0), func(context.Context, []string) error {
		v := buildVersion()
		if a.json {
			return a.object(v)
		}
		if v.Commit != "" {
			v.Commit = " " + v.Commit[:min(12, len(v.Commit))]
		}
		return a.print("meerkat %s%s %s %s/%s", v.Version, v.Commit, v.Go, v.OS, v.Arch)
	})
}

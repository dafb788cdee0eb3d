package control_test

import (
	"context"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// careDoors is like doors, for the verbs of control.Care.
var careDoors = []struct {
	verb, want string
	call       func(context.Context, *control.Client) (any, error)
	answer     any
}{
	{"versions", `versions "p" "a\xff"`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.Versions(ctx, "p", "a\xff", discard)
	}, nil},
	{"restore", `restore "p" "a\xff" "v" 2026-11-22 12:00:00 +0000 UTC`, func(ctx context.Context, c *control.Client) (any, error) {
		var got string
		err := c.Restore(ctx, node.VersionRequest{Pool: "p", Path: "a\xff", Version: "v", At: noon}, func(i node.RestoreInfo) error {
			got += i.Version
			return nil
		})
		return got, err
	}, ""},
	{"content", `content "p" "a" "v"`, func(ctx context.Context, c *control.Client) (any, error) {
		var got []byte
		err := c.Content(ctx, node.VersionRequest{Pool: "p", Path: "a", Version: "v"}, func(p node.ContentPart) error {
			got = append(got, p.Data...)
			return nil
		})
		return got, err
	}, []byte{0, 255}},
	{"conflicts", `conflicts "p" "a\xff"`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.Conflicts(ctx, "p", "a\xff", discard)
	}, nil},
	{"resolve", `resolve "p" "a" "k\xff"`, func(ctx context.Context, c *control.Client) (any, error) {
		return c.Resolve(ctx, node.ResolveRequest{Pool: "p", Path: "a", Keep: "k\xff"})
	}, node.ResolveInfo{Path: "a"}},
	{"rules", `rules "p"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Rules(ctx, "p") }, []node.RuleInfo{{Pattern: "*.o"}}},
	{"ignored", `ignored "p" "a/"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Ignored(ctx, "p", "a/") }, node.IgnoredInfo{Path: "a/"}},
	{"ignore", `ignore "p" "*.\xff" true`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.AddRule(ctx, node.RuleRequest{Pool: "p", Pattern: "*.\xff", Local: true})
	}, nil},
	{"held", `held "p"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Held(ctx, "p") }, []node.HeldInfo{{ID: "x"}}},
	{"decide", `decide "p" "a\xff" true`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.DecideHeld(ctx, node.HeldRequest{Pool: "p", ID: "a\xff", Accept: true})
	}, nil},
	{"why", `why "p" "a\xff"`, func(ctx context.Context, c *control.Client) (any, error) { return c.Why(ctx, "p", "a\xff") }, node.WhyInfo{Cause: "because"}},
	{"verify", `verify {Pool:p Path:"a\xff" Repair:true Rate:7}`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.Verify(ctx, node.VerifyRequest{Pool: "p", Path: "a\xff", Repair: true, Rate: 7}, discard)
	}, nil},
	{"rewind", `rewind {Pool:p By:m Since:2026-11-22 12:00:00 +0000 UTC Until:0001-01-01 00:00:00 +0000 UTC DryRun:true}`, func(ctx context.Context, c *control.Client) (any, error) {
		return nil, c.Rewind(ctx, node.RewindRequest{Pool: "p", By: "m", Since: noon, DryRun: true}, discard)
	}, nil},
	{"settings", "settings", func(ctx context.Context, c *control.Client) (any, error) { return c.SettingList(ctx) }, []node.SettingInfo{{Key: "name"}}},
	{"set", `set "name" ["a"] false`, func(ctx context.Context, c *control.Client) (any, error) {
		return c.SetSetting(ctx, "name", []string{"a"})
	}, node.SettingInfo{Key: "name"}},
	{"set", `set "name" [] true`, func(ctx context.Context, c *control.Client) (any, error) { return c.SetSetting(ctx, "name", nil) }, node.SettingInfo{Key: "name"}},
	{"set", `set "name" [] false`, func(ctx context.Context, c *control.Client) (any, error) {
		return c.SetSetting(ctx, "name", []string{})
	}, node.SettingInfo{Key: "name"}},
	{"pause", "pause {Pool:p Member:m For:1h0m0s}", func(ctx context.Context, c *control.Client) (any, error) {
		return c.Pause(ctx, node.PauseRequest{Pool: "p", Member: "m", For: time.Hour})
	}, []node.PauseInfo{{Pool: "p", Paused: true}}},
	{"resume", "resume {Pool:p Member: For:0s}", func(ctx context.Context, c *control.Client) (any, error) {
		return c.Resume(ctx, node.PauseRequest{Pool: "p"})
	}, []node.PauseInfo{{Pool: "p"}}},
}

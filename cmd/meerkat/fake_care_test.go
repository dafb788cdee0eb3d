package main

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

func (c canned) Versions(_ context.Context, pool, path string, f func(node.FileVersion) error) error {
	c.asked("versions %q %q", pool, path)
	for _, v := range []node.FileVersion{
		{Schema: node.SchemaFileVersion, Version: "9f3a2c11", Path: "a\nb", Time: noon, By: piID, ByName: "pi", Action: "changed", Kind: "file", Size: 2048, Current: true, Where: node.WhereHere},
		{Schema: node.SchemaFileVersion, Version: "00ff00ff", Path: "a\nb", Time: noon, By: piID, ByName: "p\x1bi", Action: "created", Kind: "file", Size: 1024, Where: node.WhereMembers, Members: []string{"p\x1bi"}},
	} {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func (c canned) Restore(_ context.Context, q node.VersionRequest, f func(node.RestoreInfo) error) error {
	c.asked("restore %q %q %q %v", q.Pool, q.Path, q.Version, q.At.IsZero())
	return f(node.RestoreInfo{Schema: node.SchemaRestore, Path: q.Path, Version: "9f3a2c11", State: "done", Size: 7})
}

func (c canned) Content(_ context.Context, q node.VersionRequest, f func(node.ContentPart) error) error {
	c.asked("content %q %q %q", q.Pool, q.Path, q.Version)
	v := node.FileVersion{Version: "9f3a2c11", Path: q.Path, Size: 7}
	if err := f(node.ContentPart{Version: &v, Mode: 0o640, MTime: noon.UnixNano()}); err != nil {
		return err
	}
	return f(node.ContentPart{Data: []byte("content")})
}

func (c canned) Conflicts(_ context.Context, pool, path string, f func(node.ConflictInfo) error) error {
	c.asked("conflicts %q %q", pool, path)
	if path == "none" {
		return nil
	}
	return f(node.ConflictInfo{
		Schema: node.SchemaConflict, Pool: "home", Path: "a\nb.txt", Copy: "a\nb.conflict-20261122T120000Z-abcdefgh.txt", By: piID, ByName: "p\x1bi",
		Time: noon, Size: 7, Kind: "file", KeptBy: laptopID, KeptByName: "laptop", KeptTime: noon, KeptSize: 8,
	})
}

func (c canned) Resolve(_ context.Context, q node.ResolveRequest) (node.ResolveInfo, error) {
	c.asked("resolve %q %q %q", q.Pool, q.Path, q.Keep)
	return node.ResolveInfo{Schema: node.SchemaResolved, Path: q.Path, Changed: []string{q.Path}, Removed: []string{"copy"}}, nil
}

func (c canned) Rules(context.Context, string) ([]node.RuleInfo, error) {
	return []node.RuleInfo{{Schema: node.SchemaRule, File: ".meerkatignore", Line: 3, Pattern: "*.o\x1b"}}, nil
}

func (c canned) Ignored(_ context.Context, _, path string) (node.IgnoredInfo, error) {
	c.asked("ignored %q", path)
	return node.IgnoredInfo{Schema: node.SchemaIgnored, Path: path, Ignored: path != "free", Rule: node.RuleInfo{File: ".meerkatignore", Line: 3, Pattern: "*.o"}}, nil
}

func (c canned) AddRule(_ context.Context, q node.RuleRequest) error {
	c.asked("ignore %+v", q)
	return nil
}

func (c canned) Why(_ context.Context, _, path string) (node.WhyInfo, error) {
	c.asked("why %q", path)
	return node.WhyInfo{Schema: node.SchemaWhy, Path: path, State: "waiting", Cause: "only p\x1bi holds it", Hint: "start p\x1bi", Members: []node.WhyMember{
		{ID: laptopID, Name: "laptop", Self: true, Online: true, State: node.HoldsPart, Percent: 40},
		{ID: piID, Name: "p\x1bi", State: node.HoldsAll, Percent: 100, LastSeen: &noon},
	}}, nil
}

func (c canned) Verify(_ context.Context, q node.VerifyRequest, f func(node.VerifyInfo) error) error {
	c.asked("verify %+v", q)
	if err := f(node.VerifyInfo{Schema: node.SchemaVerify, State: "corrupted", Path: "a\nb", Message: "it differs", DoneFiles: 1, TotalFiles: 2, Corrupted: 1}); err != nil {
		return err
	}
	return f(node.VerifyInfo{Schema: node.SchemaVerify, State: "done", DoneFiles: 2, TotalFiles: 2, DoneBytes: 9, TotalBytes: 9, Corrupted: 1})
}

func (c canned) Rewind(_ context.Context, q node.RewindRequest, f func(node.RewindInfo) error) error {
	c.asked("rewind %q %q %v", q.Pool, q.By, q.DryRun)
	for _, i := range []node.RewindInfo{
		{Schema: node.SchemaRewind, Action: "lost", Path: "l\x1b", Why: "nobody online holds what stood there before"},
		{Schema: node.SchemaRewind, Action: "restore", Path: "r", Size: 7},
		{Schema: node.SchemaRewind, Action: "kept", Path: "k", Why: "somebody else has changed it since"},
	} {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

func (canned) SettingList(context.Context) ([]node.SettingInfo, error) {
	return []node.SettingInfo{
		{Schema: node.SchemaSetting, Key: "name", Values: []string{"lap\x1btop"}, Default: []string{"host"}, Source: "file", Restart: true},
		{Schema: node.SchemaSetting, Key: "network.peers", Values: []string{}, Default: []string{}, Source: "default", Restart: true},
	}, nil
}

func (c canned) SetSetting(_ context.Context, key string, values []string) (node.SettingInfo, error) {
	c.asked("set %q %q %v", key, values, values == nil)
	return node.SettingInfo{Schema: node.SchemaSetting, Key: key, Values: values, Source: "file"}, nil
}

func (c canned) Pause(_ context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	c.asked("pause %+v", q)
	return []node.PauseInfo{{Schema: node.SchemaPause, Pool: q.Pool, Member: q.Member, Paused: true}}, nil
}

func (c canned) Resume(_ context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	c.asked("resume %+v", q)
	return []node.PauseInfo{{Schema: node.SchemaPause, Pool: q.Pool, Member: q.Member}}, nil
}

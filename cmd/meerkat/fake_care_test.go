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

package control_test

import (
	"context"

	"github.com/bwaklog/meerkat/node"
)

func (f *fake) Versions(ctx context.Context, pool, path string, g func(node.FileVersion) error) error {
	if err := g(node.FileVersion{Path: path}); err != nil {
		return err
	}
	return f.call(ctx, "versions %q %q", pool, path)
}

func (f *fake) Restore(ctx context.Context, q node.VersionRequest, g func(node.RestoreInfo) error) error {
	if err := g(node.RestoreInfo{Path: q.Path}); err != nil {
		return err
	}
	return f.call(ctx, "restore %q %q %q %v", q.Pool, q.Path, q.Version, q.At)
}

func (f *fake) Content(ctx context.Context, q node.VersionRequest, g func(node.ContentPart) error) error {
	if err := g(node.ContentPart{Data: []byte{0, 255}}); err != nil {
		return err
	}
	return f.call(ctx, "content %q %q %q", q.Pool, q.Path, q.Version)
}

func (f *fake) Conflicts(ctx context.Context, pool, path string, g func(node.ConflictInfo) error) error {
	if err := g(node.ConflictInfo{Path: path}); err != nil {
		return err
	}
	return f.call(ctx, "conflicts %q %q", pool, path)
}

func (f *fake) Resolve(ctx context.Context, q node.ResolveRequest) (node.ResolveInfo, error) {
	return node.ResolveInfo{Path: q.Path}, f.call(ctx, "resolve %q %q %q", q.Pool, q.Path, q.Keep)
}

func (f *fake) Rules(ctx context.Context, pool string) ([]node.RuleInfo, error) {
	return []node.RuleInfo{{Pattern: "*.o"}}, f.call(ctx, "rules %q", pool)
}

func (f *fake) Ignored(ctx context.Context, pool, path string) (node.IgnoredInfo, error) {
	return node.IgnoredInfo{Path: path}, f.call(ctx, "ignored %q %q", pool, path)
}

func (f *fake) AddRule(ctx context.Context, q node.RuleRequest) error {
	return f.call(ctx, "ignore %q %q %v", q.Pool, q.Pattern, q.Local)
}

func (f *fake) Why(ctx context.Context, pool, path string) (node.WhyInfo, error) {
	return node.WhyInfo{Cause: "because"}, f.call(ctx, "why %q %q", pool, path)
}

func (f *fake) Verify(ctx context.Context, q node.VerifyRequest, g func(node.VerifyInfo) error) error {
	if err := g(node.VerifyInfo{State: "done"}); err != nil {
		return err
	}
	return f.call(ctx, "verify {Pool:%s Path:%q Repair:%v Rate:%d}", q.Pool, q.Path, q.Repair, q.Rate)
}

func (f *fake) Rewind(ctx context.Context, q node.RewindRequest, g func(node.RewindInfo) error) error {
	if err := g(node.RewindInfo{Action: "kept"}); err != nil {
		return err
	}
	return f.call(ctx, "rewind %+v", q)
}

func (f *fake) SettingList(ctx context.Context) ([]node.SettingInfo, error) {
	return []node.SettingInfo{{Key: "name"}}, f.call(ctx, "settings")
}

func (f *fake) SetSetting(ctx context.Context, key string, values []string) (node.SettingInfo, error) {
	return node.SettingInfo{Key: key}, f.call(ctx, "set %q %q %v", key, values, values == nil)
}

func (f *fake) Pause(ctx context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	return []node.PauseInfo{{Pool: q.Pool, Paused: true}}, f.call(ctx, "pause %+v", q)
}

func (f *fake) Resume(ctx context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	return []node.PauseInfo{{Pool: q.Pool}}, f.call(ctx, "resume %+v", q)
}

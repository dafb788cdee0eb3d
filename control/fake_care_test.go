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

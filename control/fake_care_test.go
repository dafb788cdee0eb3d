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

package control

import (
	"context"
	"maps"
	"time"

	"github.com/bwaklog/meerkat/node"
)

// Care is the part of a [Backend] about history, undo and upkeep.
type Care interface {
	// Versions calls f with what stood at a path and below, the newest first.
	Versions(ctx context.Context, pool, path string, f func(node.FileVersion) error) error
	// Restore brings versions back for all members, and calls f with what became of each path.
	Restore(ctx context.Context, q node.VersionRequest, f func(node.RestoreInfo) error) error
	// Content calls f with a version's content, in pieces and in order.
	Content(ctx context.Context, q node.VersionRequest, f func(node.ContentPart) error) error
}

// versionArg is a node.VersionRequest on the wire.
type versionArg struct {
	Pool    string
	Path    raw
	Version string
	At      time.Time
}

func (a versionArg) request() node.VersionRequest {
	return node.VersionRequest{Pool: a.Pool, Path: string(a.Path), Version: a.Version, At: a.At}
}

func wireVersion(q node.VersionRequest) versionArg {
	return versionArg{q.Pool, raw(q.Path), q.Version, q.At}
}

// careVerbs are the doors of [Care].
var careVerbs = map[string]verb{
	"versions": many(func(ctx context.Context, b Backend, a pathArg, f func(node.FileVersion) error) error {
		return b.Versions(ctx, a.Pool, string(a.Path), f)
	}),
	"restore": many(func(ctx context.Context, b Backend, a versionArg, f func(node.RestoreInfo) error) error {
		return b.Restore(ctx, a.request(), f)
	}),
	"content": many(func(ctx context.Context, b Backend, a versionArg, f func(node.ContentPart) error) error {
		return b.Content(ctx, a.request(), f)
	}),
}

// doors is every verb there is.
func doors() map[string]verb {
	all := maps.Clone(verbs)
	maps.Copy(all, careVerbs)
	return all
}

// Versions calls f with what stood at a path and below, the newest first.
func (c *Client) Versions(ctx context.Context, pool, path string, f func(node.FileVersion) error) error {
	return follow(ctx, c, "versions", pathArg{pool, raw(path)}, f)
}

// Restore brings versions back for all members.
func (c *Client) Restore(ctx context.Context, q node.VersionRequest, f func(node.RestoreInfo) error) error {
	return follow(ctx, c, "restore", wireVersion(q), f)
}

// Content calls f with a version's content, in pieces and in order.
func (c *Client) Content(ctx context.Context, q node.VersionRequest, f func(node.ContentPart) error) error {
	return follow(ctx, c, "content", wireVersion(q), f)
}

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
	// Conflicts calls f with each losing value at a path and below; "" is the whole pool.
	Conflicts(ctx context.Context, pool, path string, f func(node.ConflictInfo) error) error
	// Resolve settles one conflict for all members.
	Resolve(ctx context.Context, q node.ResolveRequest) (node.ResolveInfo, error)
	// Rules lists the ignore rules that count now.
	Rules(ctx context.Context, pool string) ([]node.RuleInfo, error)
	// Ignored says which rule decides about a path.
	Ignored(ctx context.Context, pool, path string) (node.IgnoredInfo, error)
	// AddRule appends an ignore rule, and returns when it has taken effect.
	AddRule(ctx context.Context, q node.RuleRequest) error
	// Why says who has a path, who lacks it, and what each waits for; "" is the first thing that waits.
	Why(ctx context.Context, pool, path string) (node.WhyInfo, error)
	// Verify reads files and compares them with the index; f gets findings, progress and the sum.
	Verify(ctx context.Context, q node.VerifyRequest, f func(node.VerifyInfo) error) error
	// Rewind undoes one member's changes; f gets what becomes of each path.
	Rewind(ctx context.Context, q node.RewindRequest, f func(node.RewindInfo) error) error

	// SettingList gives every setting with its value and where that comes from.
	SettingList(ctx context.Context) ([]node.SettingInfo, error)
	// SetSetting writes a setting into the config file, or takes it out where values is nil.
	SetSetting(ctx context.Context, key string, values []string) (node.SettingInfo, error)
	// Pause stops a pool, or the exchange of content with a member.
	Pause(ctx context.Context, q node.PauseRequest) ([]node.PauseInfo, error)
	// Resume ends a pause.
	Resume(ctx context.Context, q node.PauseRequest) ([]node.PauseInfo, error)
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

type resolveArg struct {
	Pool       string
	Path, Keep raw
}

type settingArg struct {
	Key    string
	Values []string
}

type verifyArg struct {
	Pool   string
	Path   raw
	Repair bool
	Rate   int64
}

type ruleArg struct {
	Pool    string
	Pattern raw
	Local   bool
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
	"conflicts": many(func(ctx context.Context, b Backend, a pathArg, f func(node.ConflictInfo) error) error {
		return b.Conflicts(ctx, a.Pool, string(a.Path), f)
	}),
	"resolve": one(func(ctx context.Context, b Backend, a resolveArg) (node.ResolveInfo, error) {
		return b.Resolve(ctx, node.ResolveRequest{Pool: a.Pool, Path: string(a.Path), Keep: string(a.Keep)})
	}),
	"rules": one(func(ctx context.Context, b Backend, a poolArg) ([]node.RuleInfo, error) { return b.Rules(ctx, a.Pool) }),
	"ignored": one(func(ctx context.Context, b Backend, a pathArg) (node.IgnoredInfo, error) {
		return b.Ignored(ctx, a.Pool, string(a.Path))
	}),
	"why": one(func(ctx context.Context, b Backend, a pathArg) (node.WhyInfo, error) {
		return b.Why(ctx, a.Pool, string(a.Path))
	}),
	"verify": many(func(ctx context.Context, b Backend, a verifyArg, f func(node.VerifyInfo) error) error {
		return b.Verify(ctx, node.VerifyRequest{Pool: a.Pool, Path: string(a.Path), Repair: a.Repair, Rate: a.Rate}, f)
	}),
	"rewind": many(func(ctx context.Context, b Backend, a node.RewindRequest, f func(node.RewindInfo) error) error {
		return b.Rewind(ctx, a, f)
	}),
	"settings": one(func(ctx context.Context, b Backend, _ none) ([]node.SettingInfo, error) { return b.SettingList(ctx) }),
	"set": one(func(ctx context.Context, b Backend, a settingArg) (node.SettingInfo, error) {
		return b.SetSetting(ctx, a.Key, a.Values)
	}),
	"pause": one(func(ctx context.Context, b Backend, a node.PauseRequest) ([]node.PauseInfo, error) {
		return b.Pause(ctx, a)
	}),
	"resume": one(func(ctx context.Context, b Backend, a node.PauseRequest) ([]node.PauseInfo, error) {
		return b.Resume(ctx, a)
	}),
	"ignore": act(func(ctx context.Context, b Backend, a ruleArg) error {
		return b.AddRule(ctx, node.RuleRequest{Pool: a.Pool, Pattern: string(a.Pattern), Local: a.Local})
	}),
}

// doors is every verb there is.
func doors() map[string]verb {
	all := maps.Clone(verbs)
	maps.Copy(all, careVerbs)
	maps.Copy(all, heldVerbs)
	maps.Copy(all, netVerbs)
	maps.Copy(all, processVerbs)
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

// Conflicts calls f with each losing value at a path and below.
func (c *Client) Conflicts(ctx context.Context, pool, path string, f func(node.ConflictInfo) error) error {
	return follow(ctx, c, "conflicts", pathArg{pool, raw(path)}, f)
}

// Resolve settles one conflict for all members.
func (c *Client) Resolve(ctx context.Context, q node.ResolveRequest) (node.ResolveInfo, error) {
	return ask[node.ResolveInfo](ctx, c, "resolve", resolveArg{q.Pool, raw(q.Path), raw(q.Keep)})
}

// Rules lists the ignore rules that count now.
func (c *Client) Rules(ctx context.Context, pool string) ([]node.RuleInfo, error) {
	return ask[[]node.RuleInfo](ctx, c, "rules", poolArg{Pool: pool})
}

// Ignored says which rule decides about a path.
func (c *Client) Ignored(ctx context.Context, pool, path string) (node.IgnoredInfo, error) {
	return ask[node.IgnoredInfo](ctx, c, "ignored", pathArg{pool, raw(path)})
}

// AddRule appends an ignore rule.
func (c *Client) AddRule(ctx context.Context, q node.RuleRequest) error {
	return c.do(ctx, "ignore", ruleArg{q.Pool, raw(q.Pattern), q.Local})
}

// Why says who has a path, who lacks it, and what each waits for.
func (c *Client) Why(ctx context.Context, pool, path string) (node.WhyInfo, error) {
	return ask[node.WhyInfo](ctx, c, "why", pathArg{pool, raw(path)})
}

// Verify reads files and compares them with the index.
func (c *Client) Verify(ctx context.Context, q node.VerifyRequest, f func(node.VerifyInfo) error) error {
	return follow(ctx, c, "verify", verifyArg{q.Pool, raw(q.Path), q.Repair, q.Rate}, f)
}

// Rewind undoes one member's changes.
func (c *Client) Rewind(ctx context.Context, q node.RewindRequest, f func(node.RewindInfo) error) error {
	return follow(ctx, c, "rewind", q, f)
}

// SettingList gives every setting.
func (c *Client) SettingList(ctx context.Context) ([]node.SettingInfo, error) {
	return ask[[]node.SettingInfo](ctx, c, "settings", none{})
}

// SetSetting writes a setting into the node's config file.
func (c *Client) SetSetting(ctx context.Context, key string, values []string) (node.SettingInfo, error) {
	return ask[node.SettingInfo](ctx, c, "set", settingArg{key, values})
}

// Pause stops a pool, or the exchange of content with a member.
func (c *Client) Pause(ctx context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	return ask[[]node.PauseInfo](ctx, c, "pause", q)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	return ask[[]node.PauseInfo](ctx, c, "resume", q)
}

package ui_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// hostile is a name as an attacker would choose it.
const hostile = "<script>alert(1)</script>\x1b[31m\u202egpj.exe\" onload=\"x"

// fake is a small world whose every text is hostile. Methods of the embedded
// interface that it does not have are not for the dashboard, and panic.
type fake struct {
	control.Backend

	mu    sync.Mutex
	calls []string
	more  chan node.Status // what Watch gives after the first; may be nil
	err   error            // of every act
}

func (f *fake) call(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fake) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) == 0 {
		return ""
	}
	return f.calls[len(f.calls)-1]
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func world() node.Status {
	seen := noon
	p := node.PoolStatus{
		ID: "p1", Name: hostile, Path: "/home/" + hostile, Role: "admin", State: node.StateFetching,
		Files: 40, Dirs: 3, Bytes: 4000, WantedHere: node.Amount{Files: 2, Bytes: 1000}, Conflicts: 1, Held: 1, NeedsYou: 3,
		Problems: []node.Problem{{Path: hostile, Code: "unreadable", Message: hostile, Hint: hostile}},
		Progress: &node.Progress{Kind: "fetch", DoneBytes: 250, TotalBytes: 1000, TotalFiles: 2},
		Notices:  []string{hostile}, Requests: 1, LastChange: &seen, Root: "r1",
		Members: []node.Member{
			{ID: "12D3KooWself", Name: "laptop", Role: "admin", Self: true, Online: true, Link: node.Link{Kind: "self"}},
			{
				ID: "12D3KooWpi", Name: hostile, Role: "writer", LastSeen: &seen, Link: node.Link{Kind: "none", Why: hostile},
				MissingThere: node.Amount{Files: 1, Bytes: 1000},
			},
			{ID: "12D3KooWnas", Name: "nas", Role: "keeper", Online: true, Link: node.Link{Kind: "direct", Transport: "quic-v1", RTTms: 31}},
		},
	}
	return node.Status{
		Node:     node.NodeStatus{ID: "12D3KooWself", Name: hostile, Version: "v1", Addrs: []string{hostile}, Reachability: "private"},
		Pools:    []node.PoolStatus{p, {ID: "p2", Name: "second", State: node.StatePaused, Root: "r2", Problems: []node.Problem{}}},
		Joining:  []node.PoolInfo{{Name: hostile, Path: hostile}},
		Transfer: node.Transfer{RateIn: 50},
	}
}

func (f *fake) Status(context.Context) (node.Status, error) { return world(), nil }

func (f *fake) Watch(ctx context.Context, g func(node.Status) error) error {
	if err := g(world()); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-f.more:
			if err := g(s); err != nil {
				return err
			}
		}
	}
}

func (f *fake) Requests(context.Context) ([]node.RequestInfo, error) {
	return []node.RequestInfo{{ID: "12D3KooWnew", Name: hostile, Since: noon, Addr: hostile}}, nil
}

func (f *fake) Pools(context.Context) ([]node.PoolInfo, error) {
	return []node.PoolInfo{{ID: "p1", Name: hostile}, {ID: "p2", Name: "second"}}, nil
}

func (f *fake) Conflicts(_ context.Context, pool, _ string, g func(node.ConflictInfo) error) error {
	return g(node.ConflictInfo{
		Pool: pool, Path: hostile, Copy: hostile + ".conflict", By: "b", ByName: hostile, Time: noon, KeptBy: "k", KeptByName: "ana",
		KeptTime: noon, KeptSize: 3, Size: 4,
	})
}

func (f *fake) Held(_ context.Context, pool string) ([]node.HeldInfo, error) {
	return []node.HeldInfo{{ID: "h1", Pool: pool, Message: hostile, Hint: hostile, Sample: []string{hostile}, By: hostile}}, nil
}

func (f *fake) Log(_ context.Context, q node.LogRequest, g func(node.ChangeInfo) error) error {
	for i := range 40 {
		c := node.ChangeInfo{Pool: q.Pool, ByName: hostile, Action: "changed", Kind: "file", Path: fmt.Sprintf("%s-%d", hostile, i), Time: noon.Add(time.Duration(i) * time.Second)}
		if err := g(c); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) SettingList(context.Context) ([]node.SettingInfo, error) {
	return []node.SettingInfo{{Key: "name", Values: []string{hostile}, Default: []string{"x"}, Source: "file", Restart: true}}, nil
}

func (f *fake) SetSetting(_ context.Context, key string, values []string) (node.SettingInfo, error) {
	return node.SettingInfo{Key: key, Values: values, Source: "environment", Restart: true}, f.call("set %s %q", key, values)
}

func (f *fake) Netcheck(context.Context) (node.NetInfo, error) {
	return node.NetInfo{Reachability: "private", NAT: "easy", Advice: []string{hostile}, SeenAs: []string{hostile}, Relays: []node.RelayInfo{{ID: "r", Name: hostile}}}, nil
}

func (f *fake) Logs(_ context.Context, g func(control.LogLine) error) error {
	return g(control.LogLine{Time: noon, Level: "WARN", Text: hostile})
}

func (f *fake) Why(_ context.Context, pool, path string) (node.WhyInfo, error) {
	return node.WhyInfo{Pool: pool, Path: path, Cause: hostile, Hint: hostile, Time: &noon, ByName: hostile, Members: []node.WhyMember{
		{Name: hostile, State: node.HoldsPart, Percent: 30, Message: hostile}, {Name: "a", State: node.HoldsAll, Online: true}, {State: "?"},
	}}, f.call("why %q %q", pool, path)
}

func (f *fake) Versions(_ context.Context, pool, path string, g func(node.FileVersion) error) error {
	for _, v := range []node.FileVersion{
		{Version: "v2", Path: path, Time: noon, ByName: hostile, Action: "changed", Kind: "file", Size: 5, Current: true, Where: node.WhereHere},
		{Version: "v1", Path: path, Time: noon, ByName: hostile, Action: "created", Kind: "file", Size: 4, Where: node.WhereMembers, Members: []string{hostile}},
		{Version: "v0", Path: path, Time: noon, Action: "deleted", Where: node.WhereNowhere},
	} {
		if err := g(v); err != nil {
			return err
		}
	}
	return f.call("versions %q %q", pool, path)
}

func (f *fake) Restore(_ context.Context, q node.VersionRequest, g func(node.RestoreInfo) error) error {
	if err := g(node.RestoreInfo{Path: q.Path, State: "waiting", Why: hostile}); err != nil {
		return err
	}
	return f.call("restore %q %q %s", q.Pool, q.Path, q.Version)
}

func (f *fake) Ignored(_ context.Context, pool, path string) (node.IgnoredInfo, error) {
	return node.IgnoredInfo{Path: path, Ignored: true, Rule: node.RuleInfo{File: hostile, Line: 3, Pattern: hostile}}, f.call("ignored %q %q", pool, path)
}

func (f *fake) Rules(context.Context, string) ([]node.RuleInfo, error) {
	return []node.RuleInfo{{Pattern: hostile, File: hostile}}, nil
}

func (f *fake) AddRule(_ context.Context, q node.RuleRequest) error {
	return f.call("rule %s %s %v", q.Pool, q.Pattern, q.Local)
}

func (f *fake) Invite(_ context.Context, r node.InviteRequest) (node.TicketInfo, error) {
	return node.TicketInfo{Ticket: "mkt1abc", Pool: hostile, Role: r.Role, Uses: r.Uses, Expires: noon}, f.call("invite %+v", r)
}

func (f *fake) Approve(_ context.Context, pool, member, role string) (node.Member, error) {
	return node.Member{Name: hostile, Role: role}, f.call("approve %s %s %s", pool, member, role)
}

func (f *fake) Deny(_ context.Context, member string) error { return f.call("deny %s", member) }

func (f *fake) Resolve(_ context.Context, q node.ResolveRequest) (node.ResolveInfo, error) {
	return node.ResolveInfo{Changed: []string{hostile}, Removed: []string{hostile}}, f.call("resolve %q %q %q", q.Pool, q.Path, q.Keep)
}

func (f *fake) DecideHeld(_ context.Context, q node.HeldRequest) error {
	return f.call("held %s %s %v", q.Pool, q.ID, q.Accept)
}

func (f *fake) Pause(_ context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	return []node.PauseInfo{{Pool: hostile, Paused: true}}, f.call("pause %+v", q)
}

func (f *fake) Resume(_ context.Context, q node.PauseRequest) ([]node.PauseInfo, error) {
	return nil, f.call("resume %+v", q)
}

func (f *fake) Scan(_ context.Context, pool, path string) error {
	return f.call("scan %q %q", pool, path)
}

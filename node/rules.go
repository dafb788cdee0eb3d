package node

import (
	"context"
	"strings"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

// Rules gives the ignore rules of a pool, in the order in which they are read:
// the last that matches decides.
func (n *Node) Rules(_ context.Context, name string) ([]RuleInfo, error) {
	r, err := n.pick(name)
	if err != nil {
		return nil, err
	}
	out := []RuleInfo{}
	err = r.withRules(func() error {
		for _, rule := range r.fold.Rules() {
			out = append(out, ruleInfo(rule))
		}
		return nil
	})
	return out, err
}

// Ignored says whether a path is ignored, and by which rule. A path that ends
// in a slash, or that is a directory on the disk, is tested as a directory.
func (n *Node) Ignored(_ context.Context, name, path string) (IgnoredInfo, error) {
	r, p, err := n.pickPath(name, path)
	if err != nil {
		return IgnoredInfo{}, err
	}
	info := IgnoredInfo{Schema: SchemaIgnored}
	info.Path, info.PathB64 = jsonPath(p)
	err = r.withRules(func() error {
		dir := strings.HasSuffix(path, "/")
		if st, there, err := r.fold.Lstat(p); err == nil && there {
			k, ok := st.Kind()
			dir = dir || ok && k == event.Dir
		}
		on, rule := r.fold.Ignored(p, dir)
		info.Ignored, info.Rule = on, ruleInfo(rule)
		return nil
	})
	return info, err
}

// AddRule appends a rule to an ignore file and looks at the folder anew.
func (n *Node) AddRule(ctx context.Context, q RuleRequest) error {
	r, err := n.pick(q.Pool)
	if err != nil {
		return err
	}
	if err := folder.CheckRule(q.Pattern); err != nil || strings.ContainsAny(q.Pattern, "\r\n") {
		return trouble("bad_rule", err, "%q is no ignore rule", q.Pattern)
	}
	if !q.Local {
		if err := r.mayAuthor(); err != nil {
			return err
		}
	}
	err = r.withRules(func() error {
		r.disk.Lock()
		defer r.disk.Unlock()
		if file, there := standing(r.fold.Rules(), q); there {
			return trouble("already_so", nil, "%s has the rule %s already", file, q.Pattern)
		}
		return r.fold.AddRule(q.Local, q.Pattern)
	})
	if err != nil {
		return err
	}
	return r.scanNowAll(ctx)
}

// standing reports whether a rule stands in its file, and no later one there
// takes anything back.
func standing(rules []folder.Rule, q RuleRequest) (file string, there bool) {
	file = folder.IgnoreFile
	if q.Local {
		file = folder.IgnoreFileLocal
	}
	for _, r := range rules {
		if r.File == file {
			there = r.Pattern == q.Pattern || there && !strings.HasPrefix(r.Pattern, "!")
		}
	}
	return file, there
}

// withRules calls f with the folder open and its rules fresh.
func (r *replica) withRules(f func() error) error {
	err := r.useFolder(func() error {
		if _, _, err := r.fold.ReloadIgnore(); err != nil {
			return err
		}
		return f()
	})
	if why := r.haltedWhy(); err != nil && why != "" {
		return trouble("halted", err, "the pool is halted: %s", why)
	}
	return err
}

func ruleInfo(r folder.Rule) RuleInfo {
	return RuleInfo{Schema: SchemaRule, File: r.File, Line: r.Line, Pattern: r.Pattern}
}

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bwaklog/meerkat/control"
	"github.com/bwaklog/meerkat/node"
)

// findPool gives the pool that name means: a name, an id, a unique prefix of
// one, or "" where there is only one.
func (a *app) findPool(ctx context.Context, b control.Backend, name string) (node.PoolInfo, error) {
	all, err := b.Pools(ctx)
	if err != nil {
		return node.PoolInfo{}, err
	}
	return pickPool(all, name)
}

// poolID is the full id of the pool of --pool, or "" without it.
func (a *app) poolID(ctx context.Context, b control.Backend) (string, error) {
	if a.pool == "" {
		return "", nil
	}
	p, err := a.findPool(ctx, b, a.pool)
	return p.ID, err
}

func pickPool(all []node.PoolInfo, name string) (node.PoolInfo, error) {
	live := slices.DeleteFunc(slices.Clone(all), retired)
	if name == "" {
		return theOnly(live)
	}
	if len(live) < len(all) {
		if p, err := pickPool(live, name); err == nil {
			return p, nil
		}
	}
	var found []node.PoolInfo
	for _, p := range all {
		if p.ID == name {
			return p, nil
		}
		if p.Name == name {
			found = append(found, p)
		}
	}
	for _, p := range all {
		if len(found) == 0 && strings.HasPrefix(p.ID, name) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return node.PoolInfo{}, &node.Error{Code: "no_pool", Message: fmt.Sprintf("there is no pool %q", name), Hint: `"meerkat pool ls" lists them`, Exit: exitNotFound}
	case 1:
		return found[0], nil
	}
	return node.PoolInfo{}, &node.Error{Code: "which_pool", Message: fmt.Sprintf("more than one pool is meant by %q", name), Hint: `give its id: "meerkat pool ls" shows it`, Exit: exitUsage}
}

func theOnly(all []node.PoolInfo) (node.PoolInfo, error) {
	switch len(all) {
	case 0:
		return node.PoolInfo{}, &node.Error{Code: "no_pool", Message: "this node has no pool", Hint: `make one with "meerkat init DIR", or join one with "meerkat join TICKET DIR"`, Exit: exitNotFound}
	case 1:
		return all[0], nil
	}
	return node.PoolInfo{}, &node.Error{Code: "which_pool", Message: "this node has more than one pool", Hint: "say which with --pool NAME", Exit: exitUsage}
}

// pickMember gives the member that name means: a name, an id, or a unique prefix of one.
func pickMember(all []node.Member, name string) (node.Member, error) {
	var found []node.Member
	for _, m := range all {
		if m.ID == name {
			return m, nil
		}
		if name != "" && (m.Name == name || strings.HasPrefix(m.ID, name)) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return node.Member{}, &node.Error{Code: "no_node", Message: fmt.Sprintf("no member is called %q", name), Hint: `"meerkat peer ls" lists them`, Exit: exitNotFound}
	case 1:
		return found[0], nil
	}
	return node.Member{}, &node.Error{Code: "which_node", Message: fmt.Sprintf("several members match %q", name), Hint: "give more of the id", Exit: exitUsage}
}

// place turns a path as a person gives it into a pool and a path in it. A path
// that lies in a pool's folder, seen from here, is meant so; any other relative
// path is one from the pool's root.
func (a *app) place(ctx context.Context, b control.Backend, arg string) (pool, path string, err error) {
	if arg == "" {
		return a.pool, "", nil
	}
	all, err := b.Pools(ctx)
	if err != nil {
		return "", "", err
	}
	if a.pool != "" {
		p, err := pickPool(all, a.pool)
		if err != nil {
			return "", "", err
		}
		all = []node.PoolInfo{p}
	}
	if p, rel, ok := within(all, arg); ok {
		return p.ID, rel, nil
	}
	clean := filepath.ToSlash(filepath.Clean(arg))
	if filepath.IsAbs(arg) || clean == ".." || strings.HasPrefix(clean, "../") {
		return "", "", &node.Error{Code: "no_such_path", Message: fmt.Sprintf("%q lies in no pool", arg), Hint: `"meerkat pool ls" shows the folders`, Exit: exitNotFound}
	}
	if clean == "." {
		clean = ""
	}
	return a.pool, clean, nil
}

// within finds the pool whose folder holds arg; of nested folders the inner one.
func within(all []node.PoolInfo, arg string) (pool node.PoolInfo, rel string, ok bool) {
	for _, p := range all {
		for _, path := range spellings(arg) {
			for _, root := range spellings(p.Path) {
				r, err := filepath.Rel(root, path)
				if err != nil || r == ".." || strings.HasPrefix(r, "../") || ok && len(p.Path) < len(pool.Path) {
					continue
				}
				pool, rel, ok = p, r, true
			}
		}
	}
	if rel == "." {
		rel = ""
	}
	return pool, filepath.ToSlash(rel), ok
}

// spellings gives path as it is written and with the links of its directory followed.
func spellings(path string) []string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return []string{abs}
	}
	return []string{abs, filepath.Join(dir, filepath.Base(abs))}
}

// retired reports a pool of which only the history is here.
func retired(p node.PoolInfo) bool { return p.MergedInto != "" && p.Path == "" }

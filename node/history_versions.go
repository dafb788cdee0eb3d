package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/swarm"
)

const (
	versionDigits = 8 // of an event's hash, in a version's name
	askMembers    = 5 * time.Second
)

// version is a state that a path had: one that a signed event tells of, or a
// file below .meerkat/versions that none does.
type version struct {
	info  FileVersion
	path  event.Path
	value event.Value
	hlc   event.HLC
	kept  *folder.Version
}

func (v version) live() bool { return v.kept != nil || v.value.Live() }

// Versions gives f the versions of a path, or of all that ever stood below
// it, the newest first.
func (n *Node) Versions(ctx context.Context, name, path string, f func(FileVersion) error) error {
	r, p, err := n.pickPath(name, path)
	if err != nil {
		return err
	}
	all, err := r.versions(ctx, p)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return noPath(p)
	}
	for _, v := range all {
		if err := f(v.info); err != nil {
			return err
		}
	}
	return nil
}

func noPath(p event.Path) error {
	return trouble("no_path", nil, "nothing is known of %q in the pool", string(p))
}

// pickPath finds the pool and the path that a person means.
func (n *Node) pickPath(name, path string) (*replica, event.Path, error) {
	r, err := n.pick(name)
	if err != nil {
		return nil, "", err
	}
	p, err := event.ParsePath([]byte(strings.TrimSuffix(path, "/")))
	if err != nil {
		return nil, "", trouble("bad_path", err, "%q is not a path in the pool", path)
	}
	return r, p, nil
}

// versions lists what stood at p and below, the newest first.
func (r *replica) versions(ctx context.Context, p event.Path) ([]version, error) {
	leaves, err := r.leavesAfter(map[event.Writer]uint64{}, logQuery{under: p})
	if err != nil {
		return nil, err
	}
	var out []version
	for _, l := range leaves {
		out = append(out, r.versionOf(l))
	}
	if err := r.find(ctx, out); err != nil {
		return nil, err
	}
	kept, err := r.untold(p, out)
	if err != nil {
		return nil, err
	}
	out = append(out, kept...)
	slices.SortStableFunc(out, func(a, b version) int { return cmp.Compare(b.hlc, a.hlc) })
	return out, r.markCurrent(out)
}

func (r *replica) versionOf(l event.Leaf) version {
	c := r.changeInfo(l)
	return version{
		path: l.Event.Path, value: l.Event.Value, hlc: l.Event.HLC,
		info: FileVersion{
			Schema: SchemaFileVersion, Version: hex.EncodeToString(l.Hash[:])[:versionDigits],
			Path: c.Path, PathB64: c.PathB64, Time: c.Time, By: c.By, ByName: c.ByName,
			Action: c.Action, Kind: c.Kind, Size: c.Size,
		},
	}
}

// find says of each version where its content is.
func (r *replica) find(ctx context.Context, vs []version) error {
	var far []chunker.ID
	for i := range vs {
		v := vs[i].value
		if !v.Live() {
			continue
		}
		vs[i].info.Where = WhereHere
		if v.Kind != event.File || v.Size == 0 {
			continue
		}
		copies, err := r.st.Copies(v.Root, 1)
		if err != nil {
			return err
		}
		if len(copies) == 0 {
			vs[i].info.Where = WhereNowhere
			far = append(far, v.Root)
		}
	}
	if len(far) == 0 {
		return nil
	}
	holders := r.holders(ctx, far)
	for i := range vs {
		if vs[i].info.Where != WhereNowhere {
			continue
		}
		if who := holders[vs[i].value.Root]; len(who) > 0 {
			vs[i].info.Where, vs[i].info.Members = WhereMembers, who
		}
	}
	return nil
}

// holders asks the members online for who holds the whole of each content; it
// gives their names in order.
func (r *replica) holders(ctx context.Context, roots []chunker.ID) map[chunker.ID][]string {
	ctx, cancel := context.WithTimeout(ctx, askMembers)
	defer cancel()
	slices.SortFunc(roots, func(a, b chunker.ID) int { return slices.Compare(a[:], b[:]) })
	roots = slices.Compact(roots)
	out := map[chunker.ID][]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, m := range r.onlineMembers() {
		all.Go(func() {
			shares, err := r.swarm.Holding(ctx, swarm.Pool(r.id), m, roots)
			if err != nil {
				r.log.Debug("ask for versions", "member", m, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for i, s := range shares {
				if s.All() {
					out[roots[i]] = append(out[roots[i]], r.memberName(m))
				}
			}
		})
	}
	all.Wait()
	for _, who := range out {
		slices.Sort(who)
	}
	return out
}

// untold lists the kept files that none of vs tells of.
func (r *replica) untold(p event.Path, vs []version) ([]version, error) {
	var kept []folder.Version
	err := r.useFolder(func() (err error) { kept, err = r.fold.ListVersions(p); return err })
	if err != nil || len(kept) == 0 {
		return nil, err
	}
	told := map[event.Path]bool{}
	for _, v := range vs {
		if v.value.Kind != event.File || v.value.Size == 0 {
			continue
		}
		copies, err := r.st.Copies(v.value.Root, 64)
		if err != nil {
			return nil, err
		}
		for _, c := range copies {
			told[c.Path] = told[c.Path] || c.Version
		}
	}
	var out []version
	for _, k := range kept {
		if !told[k.Path] && isFile(k.Stat) {
			out = append(out, keptVersion(k))
		}
	}
	return out, nil
}

func keptVersion(k folder.Version) version {
	v := version{
		path: k.Of, kept: &k, hlc: event.HLC(k.Time.UnixMilli()) << 16,
		info: FileVersion{
			Schema: SchemaFileVersion, Version: k.Stamp(), Time: k.Time, Action: "kept", Kind: event.File.String(),
			Size: k.Size(), Where: WhereHere,
		},
	}
	v.info.Path, v.info.PathB64 = jsonPath(k.Of)
	return v
}

// markCurrent marks what stands at each path now.
func (r *replica) markCurrent(vs []version) error {
	done := map[event.Path]bool{}
	for i, v := range vs {
		if done[v.path] || v.kept != nil {
			continue
		}
		view, err := r.st.View(v.path)
		if err != nil {
			return err
		}
		if v.value.Alike(view.Value) {
			vs[i].info.Current, done[v.path] = true, true
		}
	}
	return nil
}

// choose finds the version that q names among those of one path, the newest
// first.
func choose(vs []version, q VersionRequest) (version, error) {
	switch {
	case q.Version != "":
		return byName(vs, q.Version)
	case !q.At.IsZero():
		for _, v := range vs {
			if v.kept == nil && !v.info.Time.After(q.At) {
				return v, nil
			}
		}
		return version{}, trouble("no_version", nil, "nothing stood at %q at %s", q.Path, q.At.UTC().Format(time.RFC3339))
	}
	return before(vs, q)
}

func byName(vs []version, name string) (version, error) {
	var hits []version
	for _, v := range vs {
		if v.info.Version == name {
			return v, nil
		}
		if strings.HasPrefix(v.info.Version, name) {
			hits = append(hits, v)
		}
	}
	switch len(hits) {
	case 0:
		return version{}, trouble("no_version", nil, "there is no version %q of that path", name)
	case 1:
		return hits[0], nil
	}
	return version{}, trouble("which_version", nil, "several versions begin with %q", name)
}

// before is the newest version that differs from what stands there now, and
// that somebody has.
func before(vs []version, q VersionRequest) (version, error) {
	var now event.Value
	for _, v := range vs {
		if v.info.Current {
			now = v.value
			break
		}
	}
	lost := false
	for _, v := range vs {
		if !v.live() || v.kept == nil && v.value.SameContent(now) {
			continue
		}
		if v.info.Where == WhereNowhere {
			lost = true
			continue
		}
		return v, nil
	}
	if lost {
		return version{}, trouble("no_content", nil, "nobody online holds an earlier version of %q", q.Path)
	}
	return version{}, trouble("no_version", nil, "there is no earlier version of %q", q.Path)
}

func isFile(s folder.Stat) bool {
	k, ok := s.Kind()
	return ok && k == event.File
}

// memberName is what people call a member, also one that was removed.
func (r *replica) memberName(id peer.ID) string {
	ro := r.st.Roster()
	if m, ok := ro.Member(id); ok {
		return m.Name
	}
	if m, ok := ro.Removed(id); ok {
		return m.Name
	}
	return id.String()
}

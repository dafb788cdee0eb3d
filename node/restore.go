package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
	"github.com/bwaklog/meerkat/swarm"
)

// Restore brings a version back to its place, for all members, and gives f
// what became of each path. What stands there now becomes a version. Of a
// directory it brings back what was deleted in it or, with a time, all as it
// was then; nothing that is newer is deleted.
func (n *Node) Restore(ctx context.Context, q VersionRequest, f func(RestoreInfo) error) error {
	r, p, err := n.pickPath(q.Pool, q.Path)
	if err != nil {
		return err
	}
	if err := r.mayAuthor(); err != nil {
		return err
	}
	if err := r.freshen(ctx, p); err != nil {
		return err
	}
	all, err := r.versions(ctx, p)
	if err != nil {
		return err
	}
	chosen, err := r.chosen(all, p, q)
	if err != nil {
		return err
	}
	for _, v := range chosen {
		info, err := r.restore(ctx, v)
		if err != nil && len(chosen) == 1 {
			return err
		}
		if err != nil {
			info.State, info.Why = "waiting", err.Error()
		}
		if err := f(info); err != nil {
			return err
		}
	}
	return nil
}

// chosen are the versions that q asks for, one of each path.
func (r *replica) chosen(all []version, p event.Path, q VersionRequest) ([]version, error) {
	by := map[event.Path][]version{}
	var order []event.Path
	for _, v := range all {
		if by[v.path] == nil {
			order = append(order, v.path)
		}
		by[v.path] = append(by[v.path], v)
	}
	if len(all) == 0 {
		return nil, noPath(p)
	}
	if own := by[p]; len(own) > 0 && (len(order) == 1 || !isTree(own)) {
		v, err := choose(own, q)
		if err == nil && !v.live() {
			err = trouble("no_version", nil, "version %s is a deletion", v.info.Version)
		}
		return []version{v}, err
	}
	if q.Version != "" {
		return nil, trouble("no_version", nil, "%q is a directory: give a time instead of a version", q.Path)
	}
	var out []version
	for _, below := range order {
		v, err := choose(by[below], q)
		if err != nil || !v.live() || v.info.Current {
			continue
		}
		if q.At.IsZero() && stands(by[below]) {
			continue // without a time only what was deleted comes back
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, trouble("no_version", nil, "nothing in %q can be brought back", q.Path)
	}
	return out, nil
}

// isTree reports whether the newest of the versions that live is a directory.
func isTree(vs []version) bool {
	for _, v := range vs {
		if v.live() {
			return v.kept == nil && v.value.Kind == event.Dir
		}
	}
	return true
}

func stands(vs []version) bool {
	for _, v := range vs {
		if v.info.Current {
			return v.value.Live()
		}
	}
	return false
}

// restore brings one version back.
func (r *replica) restore(ctx context.Context, v version) (RestoreInfo, error) {
	info := RestoreInfo{
		Schema: SchemaRestore, Path: v.info.Path, PathB64: v.info.PathB64, Version: v.info.Version,
		Size: v.info.Size, State: "done", From: WhereHere,
	}
	value, err := r.valueOf(ctx, v)
	if err != nil {
		return info, err
	}
	from, err := r.bring(ctx, v.path, value)
	if err != nil {
		return info, err
	}
	info.From = cmp.Or(from, WhereHere)
	err = r.author([]event.Path{v.path}, func() ([]event.Event, error) {
		es, err := r.change(v.path, value)
		if len(es) == 0 {
			info.State = "already"
		}
		return es, err
	})
	if err != nil {
		return info, err
	}
	if info.Why, err = r.arrived(ctx, v.path); info.Why != "" {
		info.State = "waiting"
	}
	return info, err
}

// valueOf is what stands at v: of a kept file that no event tells of it is
// found out by reading the file, and remembered.
func (r *replica) valueOf(ctx context.Context, v version) (event.Value, error) {
	if v.kept == nil {
		return v.value, nil
	}
	k := *v.kept
	m, err := chunker.Cut(ctx, keptFile{r, k}, k.Size(), chunker.ClassFor(k.Size()), 1)
	if err != nil {
		return event.Value{}, trouble("no_content", err, "the kept version of %q cannot be read", string(v.path))
	}
	value := event.Value{
		Kind: event.File, Root: m.Root(), Size: m.Size, Class: m.Class, Mode: k.Stat.Perm(), MTime: k.Stat.MTime,
	}
	if len(m.Chunks) <= event.MaxInline {
		value.Chunks = m.Chunks
	}
	_, err = r.st.Commit(store.Tx{
		AddVersions: []store.Version{{Path: k.Path, Root: m.Root()}}, Manifests: []chunker.Manifest{m},
	})
	return value, err
}

// keptFile reads a file below .meerkat/versions.
type keptFile struct {
	r *replica
	v folder.Version
}

// ReadAt reads like io.ReaderAt; the file must be as it was listed.
func (k keptFile) ReadAt(b []byte, off int64) (int, error) {
	n := min(int64(len(b)), max(k.v.Size()-off, 0))
	err := k.r.fold.ReadChunk(k.v.Place(), k.v.Stat, off, b[:n])
	if err == nil && n < int64(len(b)) {
		err = io.EOF
	}
	return int(n), err
}

// bring sees to it that the whole content of v lies on this disk. What has to
// be fetched becomes a version of p, and from says who gave it.
func (r *replica) bring(ctx context.Context, p event.Path, v event.Value) (from string, err error) {
	if v.Kind != event.File || v.Size == 0 || r.whole(v) {
		return "", nil
	}
	m, err := r.manifestFor(ctx, p, v)
	if err != nil {
		return "", err
	}
	part, err := r.gather(ctx, p, v.Root, m)
	if err != nil {
		return "", err
	}
	kept, err := part.Keep(p, time.Now())
	if err != nil {
		return "", errors.Join(err, part.Close())
	}
	_, err = r.st.Commit(store.Tx{
		AddVersions: []store.Version{{Path: kept.Path, Root: v.Root}}, Manifests: []chunker.Manifest{m},
	})
	return strings.Join(r.holders(ctx, []chunker.ID{v.Root})[v.Root], ", "), err
}

// manifestFor is the list of chunks of v, asked of members where it must be.
func (r *replica) manifestFor(ctx context.Context, p event.Path, v event.Value) (chunker.Manifest, error) {
	ms, err := r.manifests(ctx, []folder.Step{{Path: p, Want: v}})
	if err != nil {
		return chunker.Manifest{}, err
	}
	m, ok := ms[v.Root]
	if !ok {
		return m, trouble("no_content", nil, "nobody online holds that version of %q", string(p))
	}
	return m, nil
}

// gather fetches a content into a partial file that is complete when it
// returns; what is on this disk already is taken from there.
func (r *replica) gather(ctx context.Context, p event.Path, root chunker.ID, m chunker.Manifest) (*folder.Partial, error) {
	part, err := r.fold.OpenPartial(ctx, root, m)
	if err != nil {
		return nil, err
	}
	if err = r.fill(ctx, part); err == nil && part.Left() == 0 {
		return part, nil
	}
	have := len(m.Chunks) - part.Left()
	_ = part.Close() // what came stays for the next attempt
	var some *swarm.Incomplete
	if err != nil && !errors.As(err, &some) {
		return nil, asTimeout(err, "fetching it")
	}
	return nil, trouble("no_content", nil, "nobody online holds all of that version of %q: %d %% of it could be found",
		string(p), 100*have/max(len(m.Chunks), 1))
}

func (r *replica) fill(ctx context.Context, part *folder.Partial) error {
	m := part.Manifest()
	at := map[chunker.ID][]int{}
	var wants []swarm.Want
	buf := make([]byte, chunker.MaxChunk)
	for _, i := range part.Missing() {
		c := m.Chunks[i]
		if n, err := r.readLocal(c.ID, buf, true); err == nil {
			if err := part.WriteChunk(i, buf[:n]); err != nil {
				return err
			}
			continue
		}
		if at[c.ID] == nil {
			wants = append(wants, swarm.Want{ID: c.ID, Size: c.Size, Root: m.Root(), Index: i})
		}
		at[c.ID] = append(at[c.ID], i)
	}
	if len(wants) == 0 {
		return nil
	}
	return r.swarm.Fetch(ctx, swarm.Request{
		Pool: swarm.Pool(r.id), Peers: r.onlineMembers, Wants: wants,
		Put: func(w swarm.Want, b []byte) error {
			for _, i := range at[w.ID] {
				if err := part.WriteChunk(i, b); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// whole reports whether the whole content of v can be read on this disk.
func (r *replica) whole(v event.Value) bool {
	m, ok := r.manifestOf(v)
	if !ok {
		return false
	}
	buf := make([]byte, chunker.MaxChunk)
	for _, c := range m.Chunks {
		if _, err := r.readLocal(c.ID, buf, true); err != nil {
			return false
		}
	}
	// The chunks may lie in several files: put together they are a version.
	copies, err := r.st.Copies(v.Root, 1)
	return err == nil && len(copies) > 0
}

// Content gives f the content of a version, in pieces and in order.
func (n *Node) Content(ctx context.Context, q VersionRequest, f func(ContentPart) error) error {
	r, p, err := n.pickPath(q.Pool, q.Path)
	if err != nil {
		return err
	}
	all, err := r.versions(ctx, p)
	if err != nil {
		return err
	}
	own := only(all, p)
	if len(all) > 0 && isTree(own) {
		return trouble("is_directory", nil, "%q is a directory: only a file can be written elsewhere", q.Path)
	}
	v, err := choose(own, q)
	if err != nil {
		return err
	}
	value, err := r.valueOf(ctx, v)
	if err != nil {
		return err
	}
	switch value.Kind {
	case event.File:
		return r.content(ctx, v, value, f)
	case event.Link:
		return f(ContentPart{Version: &v.info, Target: value.Target})
	case event.Dir, event.Tomb:
	}
	return trouble("no_version", nil, "version %s of %q is no file", v.info.Version, q.Path)
}

func only(vs []version, p event.Path) []version {
	var out []version
	for _, v := range vs {
		if v.path == p {
			out = append(out, v)
		}
	}
	return out
}

func (r *replica) content(ctx context.Context, v version, value event.Value, f func(ContentPart) error) error {
	if _, err := r.bring(ctx, v.path, value); err != nil {
		return err
	}
	m, err := r.manifestFor(ctx, v.path, value)
	if err != nil {
		return err
	}
	if err := f(ContentPart{Version: &v.info, Mode: uint32(value.Mode), MTime: value.MTime}); err != nil {
		return err
	}
	buf := make([]byte, chunker.MaxChunk)
	for _, c := range m.Chunks {
		n, err := r.readLocal(c.ID, buf, true)
		if err != nil {
			return fmt.Errorf("read a version of %s: %w", v.path, err)
		}
		if err := f(ContentPart{Data: buf[:n]}); err != nil {
			return err
		}
	}
	return nil
}

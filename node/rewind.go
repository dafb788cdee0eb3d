package node

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// rewindBatch is how many paths are changed by one commit.
const rewindBatch = 1000

// undo is what rewinding does with one path.
type undo struct {
	path  event.Path
	value event.Value // what is to stand there
	info  RewindInfo
}

// Rewind undoes what one member changed in a span of time, for all members,
// and keeps everybody else's changes. f gets what is done with each path, the
// paths that cannot be brought back first; with DryRun nothing is changed.
func (n *Node) Rewind(ctx context.Context, q RewindRequest, f func(RewindInfo) error) error {
	r, err := n.pick(q.Pool)
	if err != nil {
		return err
	}
	by, err := r.anybody(q.By)
	if err != nil {
		return err
	}
	if !q.DryRun {
		if err := errors.Join(r.mayAuthor(), r.notPaused()); err != nil {
			return err
		}
		if err := r.scanNowAll(ctx); err != nil {
			return err
		}
	}
	undos, err := r.undos(ctx, by, q)
	if err != nil {
		return err
	}
	for _, u := range undos {
		if err := f(u.info); err != nil {
			return err
		}
	}
	if q.DryRun {
		return nil
	}
	return r.rewind(ctx, undos)
}

// anybody is pickMember among those of this pool, removed ones included: they
// are the likely ones.
func (r *replica) anybody(name string) (peer.ID, error) {
	ro := r.st.Roster()
	if m, err := PickMember(ro, name); err == nil {
		return m.ID, nil
	}
	for _, h := range r.st.Heads() {
		id := h.Writer.Node
		if m, ok := ro.Removed(id); ok && (m.Name == name || id.String() == name) {
			return id, nil
		}
	}
	return "", trouble("no_node", nil, "no member is called %q", name)
}

// undos decides what becomes of each path that by changed.
func (r *replica) undos(ctx context.Context, by peer.ID, q RewindRequest) ([]undo, error) {
	bad := func(l event.Leaf) bool {
		t := l.Event.HLC.Time()
		return l.Dot.Writer.Node == by && !t.Before(q.Since) && (q.Until.IsZero() || !t.After(q.Until))
	}
	hit := map[event.Path]bool{}
	err := r.eachLeaf(map[event.Writer]uint64{}, logQuery{by: by, since: q.Since}, func(l event.Leaf) {
		if bad(l) {
			hit[l.Event.Path] = true
		}
	})
	if err != nil || len(hit) == 0 {
		return nil, err
	}
	leaves, err := r.leavesAfter(map[event.Writer]uint64{}, logQuery{paths: hit})
	if err != nil {
		return nil, err
	}
	paths := map[event.Path][]event.Leaf{}
	for _, l := range leaves { // in the order of time
		paths[l.Event.Path] = append(paths[l.Event.Path], l)
	}
	var out []undo
	for p := range hit {
		u, err := r.undo(p, paths[p], bad)
		if err != nil {
			return nil, err
		}
		if u.info.Action != "" {
			out = append(out, u)
		}
	}
	if err := r.reachable(ctx, out); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b undo) int {
		return cmp.Or(cmp.Compare(urgency(a), urgency(b)), cmp.Compare(a.path, b.path))
	})
	return out, nil
}

func urgency(u undo) int {
	if u.info.Action == "lost" {
		return 0
	}
	return 1
}

// undo decides about one path: what stood there before the member's changes,
// unless somebody else has changed it since.
func (r *replica) undo(p event.Path, leaves []event.Leaf, bad func(event.Leaf) bool) (undo, error) {
	u := undo{path: p, info: RewindInfo{Schema: SchemaRewind}}
	u.info.Path, u.info.PathB64 = jsonPath(p)
	view, err := r.st.View(p)
	if err != nil {
		return u, err
	}
	last := slices.IndexFunc(leaves, func(l event.Leaf) bool {
		return l.Event.Value.Same(view.Value) && (l.Event.HLC == view.HLC || !view.Value.Live())
	})
	if !view.Value.Live() && len(leaves) > 0 {
		last = len(leaves) - 1
	}
	if last < 0 || !bad(leaves[last]) {
		u.info.Action, u.info.Why = "kept", "somebody else has changed it since"
		return u, nil
	}
	u.value = event.Value{Kind: event.Tomb}
	for _, l := range slices.Backward(leaves[:last]) {
		if !bad(l) {
			u.value = l.Event.Value
			break
		}
	}
	switch {
	case u.value.Alike(view.Value):
		return undo{}, nil
	case !u.value.Live():
		u.info.Action = "delete"
	default:
		u.info.Action, u.info.Size = "restore", u.value.Size
	}
	return u, nil
}

// reachable finds out which contents nobody online has.
func (r *replica) reachable(ctx context.Context, undos []undo) error {
	var far []chunker.ID
	away := map[chunker.ID]bool{}
	for _, u := range undos {
		if u.info.Action != "restore" || u.value.Kind != event.File || u.value.Size == 0 {
			continue
		}
		copies, err := r.st.Copies(u.value.Root, 1)
		if err != nil {
			return err
		}
		if len(copies) == 0 {
			far = append(far, u.value.Root)
			away[u.value.Root] = true
		}
	}
	if len(far) == 0 {
		return nil
	}
	found := r.holders(ctx, far)
	for i, u := range undos {
		if u.info.Action == "restore" && away[u.value.Root] && len(found[u.value.Root]) == 0 {
			undos[i].info.Action, undos[i].info.Why = "lost", "nobody online holds what stood there before"
		}
	}
	return nil
}

// rewind carries undos out: what has to come from members comes first, so that
// no event speaks of content that nobody has.
func (r *replica) rewind(ctx context.Context, undos []undo) error {
	var todo []undo
	for _, u := range undos {
		switch u.info.Action {
		case "restore":
			if _, err := r.bring(ctx, u.path, u.value); err != nil {
				r.log.Warn("rewind", "path", u.path, "err", err)
				continue
			}
			todo = append(todo, u)
		case "delete":
			todo = append(todo, u)
		}
	}
	for part := range slices.Chunk(todo, rewindBatch) {
		if err := r.rewindPart(part); err != nil {
			return err
		}
	}
	for _, u := range todo {
		if _, err := r.arrived(ctx, u.path); err != nil {
			return err
		}
	}
	return nil
}

func (r *replica) rewindPart(part []undo) error {
	paths := make([]event.Path, 0, len(part))
	for _, u := range part {
		paths = append(paths, u.path)
	}
	return r.author(paths, func() ([]event.Event, error) {
		var out []event.Event
		for _, u := range part {
			es, err := r.change(u.path, u.value)
			if err != nil {
				return nil, err
			}
			out = append(out, es...)
		}
		return out, nil
	})
}

package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/swarm"
)

const (
	smallFile = 256 << 10 // up to here content passes through memory
	loadBytes = 32 << 20  // of content in one load, unless a single file is larger
	loadFiles = 1024
	loads     = 2 // under way at once: one fetches while the other is made durable
)

// onlineMembers are those that can be asked for content.
func (r *replica) onlineMembers() []peer.ID {
	var out []peer.ID
	for _, m := range r.st.Roster().Members() {
		if m.ID != r.self && r.links.online(m.ID) && !r.pauses.has(m.ID) {
			out = append(out, m.ID)
		}
	}
	return out
}

// cutLoads groups steps so that each load is worth a round of syncing and
// small enough to be made durable soon. Large files go alone.
func cutLoads(steps []folder.Step) [][]folder.Step {
	var out [][]folder.Step
	var load []folder.Step
	var bytes int64
	for _, s := range steps {
		if len(load) > 0 && (bytes+s.Want.Size > loadBytes || len(load) >= loadFiles) {
			out, load, bytes = append(out, load), nil, 0
		}
		load, bytes = append(load, s), bytes+s.Want.Size
	}
	if len(load) > 0 {
		out = append(out, load)
	}
	return out
}

const (
	listBytes = 32 << 20 // of chunk lists, by what they may grow to, that are fetched together
	perChunk  = 36
)

// cutLists groups steps so that their lists of chunks fit in memory together:
// a list is as long as the size that somebody claims. What does not fit on the
// disk is not looked at.
func (r *replica) cutLists(steps []folder.Step) [][]folder.Step {
	var out [][]folder.Step
	var part []folder.Step
	var bytes int64
	var notes []note
	for _, s := range steps {
		var n int64
		if _, known := r.manifestOf(s.Want); !known {
			if err := r.fold.Room(s.Want.Size); err != nil {
				p := folder.ProblemFor(s.Path, err)
				notes = append(notes, note{s.Path, p.Code, p.Message})
				continue
			}
			least, _, _ := s.Want.Class.Sizes()
			n = s.Want.Size/int64(least)*perChunk + perChunk
		}
		if len(part) > 0 && bytes+n > listBytes {
			out, part, bytes = append(out, part), nil, 0
		}
		part, bytes = append(part, s), bytes+n
	}
	if len(part) > 0 {
		out = append(out, part)
	}
	if err := r.note0(notes); err != nil {
		r.log.Warn("note what has no room", "err", err)
	}
	return out
}

// manifests are lists of chunks by the root of their content.
type manifests map[chunker.ID]chunker.Manifest

// of are those of what steps bring.
func (ms manifests) of(steps []folder.Step) (out []chunker.Manifest) {
	for _, s := range steps {
		if m, ok := ms[s.Want.Root]; ok {
			out = append(out, m)
		}
	}
	return out
}

// manifests finds the chunk lists of steps: in the event, in the store, or
// from other members. Steps whose list nobody has are missing in the result.
func (r *replica) manifests(ctx context.Context, steps []folder.Step) (manifests, error) {
	out := make(manifests, len(steps))
	var wants []swarm.Want
	for _, s := range steps {
		if _, ok := out[s.Want.Root]; ok {
			continue
		}
		m, ok := r.manifestOf(s.Want)
		if ok {
			out[s.Want.Root] = m
			continue
		}
		wants = append(wants, swarm.Want{ID: s.Want.Root, Block: true})
	}
	if len(wants) == 0 {
		return out, nil
	}
	blocks := &blockBox{by: map[chunker.ID][]byte{}}
	if err := r.getBlocks(ctx, wants, blocks); err != nil {
		return nil, err
	}
	for _, w := range wants {
		m, err := r.readManifest(ctx, w.ID, blocks)
		if err != nil {
			r.log.Debug("manifest", "root", w.ID, "err", err)
			continue
		}
		if err := r.st.PutManifest(m); err != nil {
			return nil, err
		}
		out[w.ID] = m
	}
	return out, nil
}

// manifestOf is the chunk list of v as it is known here.
func (r *replica) manifestOf(v event.Value) (chunker.Manifest, bool) {
	if v.Kind != event.File {
		return chunker.Manifest{}, false
	}
	if v.Size == 0 || len(v.Chunks) > 0 {
		return chunker.Manifest{Class: v.Class, Size: v.Size, Chunks: v.Chunks}, true
	}
	m, ok, err := r.st.Manifest(v.Root)
	return m, ok && err == nil
}

// blockBox gathers manifest blocks.
type blockBox struct {
	mu sync.Mutex
	by map[chunker.ID][]byte
}

func (b *blockBox) put(id chunker.ID, block []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by[id] = append([]byte(nil), block...)
}

func (b *blockBox) get(id chunker.ID) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	block, ok := b.by[id]
	return block, ok
}

// getBlocks fetches blocks into box; those that nobody has stay away.
func (r *replica) getBlocks(ctx context.Context, wants []swarm.Want, box *blockBox) error {
	err := r.swarm.Fetch(ctx, swarm.Request{
		Pool: swarm.Pool(r.id), Peers: r.onlineMembers, Wants: wants,
		Put: func(w swarm.Want, b []byte) error { box.put(w.ID, b); return nil },
	})
	var some *swarm.Incomplete
	if errors.As(err, &some) {
		return nil
	}
	return err
}

func (r *replica) readManifest(ctx context.Context, root chunker.ID, box *blockBox) (chunker.Manifest, error) {
	return chunker.DecodeManifest(root, func(id chunker.ID) ([]byte, error) {
		if b, ok := box.get(id); ok {
			return b, nil
		}
		if err := r.getBlocks(ctx, []swarm.Want{{ID: id, Block: true}}, box); err != nil {
			return nil, err
		}
		if b, ok := box.get(id); ok {
			return b, nil
		}
		return nil, swarm.ErrMissing
	})
}

// load brings the content of one load and applies it.
func (r *replica) load(ctx context.Context, steps []folder.Step, lists manifests, views map[event.Path]event.View) (int, error) {
	l := newLoad(r)
	defer l.close()
	for _, s := range steps {
		m, ok := lists[s.Want.Root]
		if !ok {
			l.lack(s, "no member online has its list of chunks")
			continue
		}
		if err := l.add(ctx, s, m); err != nil {
			l.block(s, err)
		}
	}
	if err := l.fetch(ctx); err != nil {
		return 0, err
	}
	n := 0
	var err error
	if ready := l.ready(); len(ready) > 0 {
		n, _, err = r.apply(ctx, ready, views, lists)
	}
	return n, errors.Join(err, r.note0(l.notes))
}

// noteAll marks why all steps wait.
func (r *replica) noteAll(steps []folder.Step, reason, message string) error {
	notes := make([]note, 0, len(steps))
	for _, s := range steps {
		notes = append(notes, note{s.Path, reason, message})
	}
	return r.note0(notes)
}

// beginFetch adds steps to the progress, endFetch takes them out again.
func (r *replica) beginFetch(steps []folder.Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := Progress{Kind: "fetch"}
	if r.fetch != nil {
		now = *r.fetch // the one that was shown is not changed
	}
	now.TotalFiles += int64(len(steps))
	now.TotalBytes += sizeOf(steps)
	r.fetch = &now
	r.fetches++
}

func (r *replica) endFetch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetches--; r.fetches == 0 {
		r.fetch = nil
	}
}

// sizeOf is the content of all steps, saturated.
func sizeOf(steps []folder.Step) (n int64) {
	for _, s := range steps {
		if n += s.Want.Size; n < 0 || n > 1<<62 {
			return 1 << 62
		}
	}
	return n
}

// fetched moves the progress on.
func (r *replica) fetched(files, bytes int64) {
	r.mu.Lock()
	told := false
	if r.fetch != nil {
		now := *r.fetch // the one that was shown is not changed
		now.DoneFiles += files
		now.DoneBytes += bytes
		told = now.tenth() != r.fetch.tenth()
		r.fetch = &now
	}
	r.mu.Unlock()
	if told {
		r.reportNow.poke() // so that members know how far it was if this node goes away
	}
}

// why says in one line what members answered.
func why(err error) string {
	var some *swarm.Incomplete
	if !errors.As(err, &some) {
		return err.Error()
	}
	for p, s := range some.Why {
		return fmt.Sprintf("%s: %s", p, s)
	}
	return "no member online has it"
}

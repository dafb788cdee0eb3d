package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
	"github.com/bwaklog/meerkat/swarm"
)

// source gives other members the chunks that lie in this node's folders. It is
// the swarm.Source of the node.
type source struct {
	replica func(event.PoolID) *replica
}

// Allowed reports whether p may have chunks of pool.
func (s source) Allowed(pool swarm.Pool, p peer.ID) bool {
	r := s.replica(event.PoolID(pool))
	return r != nil && r.serves(p)
}

// Read gives one chunk or manifest block of the pool. A chunk of another pool
// on this node is missing.
func (s source) Read(_ context.Context, pool swarm.Pool, q swarm.Query, dst []byte) (int, error) {
	r := s.replica(event.PoolID(pool))
	if r == nil {
		return 0, swarm.ErrMissing
	}
	if q.Block {
		return r.readBlock(q.ID, dst)
	}
	return r.readChunk(q.ID, dst, !q.Plain)
}

// Bitmap says which chunks of a file are here, those of an unfinished one
// included.
func (s source) Bitmap(pool swarm.Pool, root chunker.ID) (int, bool, []byte) {
	r := s.replica(event.PoolID(pool))
	if r == nil {
		return 0, false, nil
	}
	if p := r.partial(root); p != nil {
		return len(p.Manifest().Chunks), p.Left() == 0, p.Have()
	}
	if homes, err := r.st.Copies(root, 1); err != nil || len(homes) == 0 {
		return 0, false, nil
	}
	m, ok, err := r.st.Manifest(root)
	if err != nil || !ok {
		return 0, false, nil
	}
	return len(m.Chunks), true, nil
}

func (r *replica) readBlock(id chunker.ID, dst []byte) (int, error) {
	b, ok, err := r.st.Block(id)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", swarm.ErrUnreadable, err)
	}
	if !ok {
		return 0, swarm.ErrMissing
	}
	if len(b) > len(dst) {
		return 0, swarm.ErrUnreadable
	}
	return copy(dst, b), nil
}

// readChunk reads a chunk from any file that holds it; a file that changed
// since it was indexed is looked at again.
func (r *replica) readChunk(id chunker.ID, dst []byte, hash bool) (int, error) {
	if n, ok := r.readPartial(id, dst, hash); ok {
		return n, nil
	}
	return r.readLocal(id, dst, hash)
}

// readLocal reads a chunk from a finished file or a version. With hash it is
// verified; without, a file of the tree has only to be as the index knows it,
// before and after.
func (r *replica) readLocal(id chunker.ID, dst []byte, hash bool) (int, error) {
	places, err := r.st.Places(id, 4)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", swarm.ErrUnreadable, err)
	}
	worst := swarm.ErrMissing
	for _, p := range places {
		n, err := r.readPlace(id, p, dst, hash)
		if err == nil {
			return n, nil
		}
		worst = err
	}
	return 0, worst
}

func (r *replica) readPlace(id chunker.ID, p store.Place, dst []byte, hash bool) (int, error) {
	if p.Size > len(dst) {
		return 0, swarm.ErrUnreadable
	}
	var want folder.Stat
	if !p.Version {
		have, ok, err := r.st.Have(p.Path)
		if err != nil || !ok {
			return 0, swarm.ErrMissing
		}
		want = folderStat(have.Stat)
	}
	err := r.useFolder(func() error {
		return r.fold.ReadChunk(folder.Place{Path: p.Path, Version: p.Version}, want, p.Offset, dst[:p.Size])
	})
	if err == nil && (hash || p.Version) && chunker.Sum(dst[:p.Size]) != id {
		err = folder.ErrChanged
	}
	switch {
	case err == nil:
		return p.Size, nil
	case p.Version:
		return 0, swarm.ErrMissing
	case errors.Is(err, folder.ErrChanged), errors.Is(err, folder.ErrMissing):
		r.markDirty(p.Path, false)
		return 0, swarm.ErrChanged
	}
	return 0, fmt.Errorf("%w: %w", swarm.ErrUnreadable, err)
}

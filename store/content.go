package store

import (
	"errors"
	"slices"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// Place is where a chunk lies on this disk.
type Place struct {
	Path    event.Path // below .meerkat/versions if Version is set
	Offset  int64
	Size    int
	Root    chunker.ID // of the file
	Version bool
}

// Places are up to max places of the chunk id. What lies there may have changed since: hash what you read.
func (p *Pool) Places(id chunker.ID, max int) (places []Place, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	prefix := append(p.space.table(nil, tabChunk), id[:half]...)
	err = scan(p.db.pebble, prefix, func(key, row []byte) error {
		if len(places) >= max {
			return errStop
		}
		r := &reader{b: row}
		at := Place{Offset: unzigzag(r.uvarint()), Size: int(r.uvarint())}
		if err := r.end("place of a chunk"); err != nil {
			return err
		}
		return p.filesOf(key[len(prefix):], max-len(places), func(r ref) {
			at.Path, at.Root, at.Version = r.path, r.root, r.kind == refVersion
			places = append(places, at)
		})
	})
	return places, wrap("read places of "+id.String(), err)
}

// filesOf calls f for up to max files and versions whose root starts with root.
func (p *Pool) filesOf(root []byte, max int, f func(ref)) error {
	return scan(p.db.pebble, append(p.space.table(nil, tabRef), root...), func(key, _ []byte) error {
		if max == 0 {
			return errStop
		}
		r, err := refOf(key)
		if err != nil {
			return err
		}
		if r.kind != refFetch {
			max--
			f(r)
		}
		return nil
	})
}

// FilesWith are up to max paths of the tree where, as the index knows, the content root lies on this disk.
func (p *Pool) FilesWith(root chunker.ID, max int) (paths []event.Path, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	prefix := append(append(p.space.table(nil, tabRef), root[:]...), refFile)
	err = scan(p.db.pebble, prefix, func(key, _ []byte) error {
		if len(paths) >= max {
			return errStop
		}
		r, err := refOf(key)
		paths = append(paths, r.path)
		return err
	})
	return paths, wrap("read files with "+root.String(), err)
}

// Manifest is the manifest of that root, if it is known: of a file or a version on this disk, or from [Pool.PutManifest].
// It is the caller's.
func (p *Pool) Manifest(root chunker.ID) (chunker.Manifest, bool, error) {
	if err := p.db.gate.enter(); err != nil {
		return chunker.Manifest{}, false, err
	}
	defer p.db.gate.leave()
	m, ok, err := p.manifest(root)
	return m, ok, wrap("read manifest "+root.String(), err)
}

func (p *Pool) manifest(root chunker.ID) (chunker.Manifest, bool, error) {
	m, err := p.storedManifest(p.db.pebble, root)
	if !errors.Is(err, ErrNoManifest) {
		return m, err == nil, err
	}
	paths, err := p.FilesWith(root, 1)
	if err != nil || len(paths) == 0 {
		return chunker.Manifest{}, false, err
	}
	h, ok, err := p.haveAt(paths[0])
	if err != nil || !ok || h.Known.Value.Root != root { // the file went the moment before
		return chunker.Manifest{}, false, err
	}
	m, ok = inline(h.Known.Value)
	return m, ok, nil
}

// storedManifest reads the blocks of a manifest; ErrNoManifest where they are not stored.
func (p *Pool) storedManifest(from pebble.Reader, root chunker.ID) (chunker.Manifest, error) {
	row, err := get(from, p.space.block(root, root))
	if err != nil {
		return chunker.Manifest{}, err
	}
	if row == nil {
		return chunker.Manifest{}, ErrNoManifest
	}
	m, err := chunker.DecodeManifest(root, func(id chunker.ID) ([]byte, error) {
		if id == root {
			return row, nil
		}
		page, err := get(from, p.space.block(id, root))
		if err == nil && page == nil {
			err = corrupt("page of a manifest is missing")
		}
		return page, err
	})
	if errors.Is(err, chunker.ErrManifest) {
		err = corrupt(err.Error())
	}
	return m, err
}

// inline is the manifest that stands in the value itself.
func inline(v event.Value) (chunker.Manifest, bool) {
	if v.Kind != event.File || len(v.Chunks) == 0 && v.Size != 0 {
		return chunker.Manifest{}, false
	}
	return chunker.Manifest{Class: v.Class, Size: v.Size, Chunks: slices.Clone(v.Chunks)}, true
}

// Block is the manifest block of that id, if it is known. The slice is the caller's.
func (p *Pool) Block(id chunker.ID) ([]byte, bool, error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, false, err
	}
	defer p.db.gate.leave()
	block, err := p.storedBlock(id)
	if err != nil || block != nil {
		return block, block != nil, wrap("read block "+id.String(), err)
	}
	m, ok, err := p.manifest(id) // a short one is not stored by itself
	if err != nil || !ok {
		return nil, false, wrap("read block "+id.String(), err)
	}
	return m.Blocks()[0], true, nil
}

func (p *Pool) storedBlock(id chunker.ID) (block []byte, err error) {
	err = scan(p.db.pebble, append(p.space.table(nil, tabBlock), id[:]...), func(_, row []byte) error {
		block = append(make([]byte, 0, len(row)), row...)
		return errStop
	})
	return block, err
}

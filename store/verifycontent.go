package store

import (
	"bytes"
	"errors"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// content checks the rows that say where content lies. Where a reference was wrong, what hangs on references is not
// judged by it: the next pass does that.
func (a *audit) content() error {
	before := a.found
	if err := errors.Join(a.files(), a.refs()); err != nil || a.found > before {
		return err
	}
	return errors.Join(a.chunks(), a.blocks())
}

// files looks for the reference and the chunks of each file of the index.
func (a *audit) files() error {
	return scan(a.r, a.p.space.table(nil, tabIndex), func(key, row []byte) error {
		path, err := pathOf(key)
		if err != nil {
			return err
		}
		h, _ := (&reader{b: row}).seen()
		if h.Known.Value.Kind != event.File {
			return nil
		}
		root := h.Known.Value.Root
		ref := a.p.space.ref(ref{root, refFile, path})
		there, err := get(a.r, ref)
		if err != nil {
			return err
		}
		if there == nil {
			if err := a.set(path, noteRef, ref, []byte{}); err != nil {
				return err
			}
		}
		return a.placed(path, root)
	})
}

// placed looks for the chunks of the file at path.
func (a *audit) placed(path event.Path, root chunker.ID) error {
	m, err := a.list(path, root)
	if errors.Is(err, ErrNoManifest) {
		// Without its list the file could not be served. A scan finds it anew.
		return a.set(path, noteChunk, a.p.space.path(nil, tabIndex, path), nil)
	}
	if err != nil {
		return err
	}
	var at int64
	for _, k := range m.Chunks {
		key := a.p.space.chunk(k.ID, root)
		row, err := get(a.r, key)
		if err != nil {
			return err
		}
		if row == nil {
			if err := a.set(path, noteChunk, key, appendPlace(nil, at, k.Size)); err != nil {
				return err
			}
		}
		at += int64(k.Size)
	}
	return nil
}

func (a *audit) list(path event.Path, root chunker.ID) (chunker.Manifest, error) {
	m, err := a.p.storedManifest(a.r, root)
	if !errors.Is(err, ErrNoManifest) {
		return m, err
	}
	h, _, err := a.p.haveFrom(a.r, path)
	if errors.Is(err, ErrCorrupt) {
		return m, ErrNoManifest // its row of the tree is a fault of its own
	}
	if err != nil {
		return m, err
	}
	m, ok := inline(h.Known.Value)
	if !ok {
		return m, ErrNoManifest
	}
	return m, nil
}

// refs looks for the row of the index of each reference that comes from one.
func (a *audit) refs() error {
	return scan(a.r, a.p.space.table(nil, tabRef), func(key, _ []byte) error {
		r, err := refOf(key)
		if err != nil || r.kind != refFile {
			return err
		}
		row, err := get(a.r, a.p.space.path(nil, tabIndex, r.path))
		if err != nil {
			return err
		}
		h, _ := (&reader{b: row}).seen()
		if row != nil && h.Known.Value.Kind == event.File && h.Known.Value.Root == r.root {
			return nil
		}
		return a.set(r.path, noteRef, bytes.Clone(key), nil)
	})
}

// chunks looks for the content of each place.
func (a *audit) chunks() error {
	return scan(a.r, a.p.space.table(nil, tabChunk), func(key, _ []byte) error {
		return a.belongs(key, noteChunk, func(r ref) bool { return r.kind != refFetch })
	})
}

// blocks looks for the content of each block of a manifest.
func (a *audit) blocks() error {
	return scan(a.r, a.p.space.table(nil, tabBlock), func(key, _ []byte) error {
		return a.belongs(key, noteBlock, func(ref) bool { return true })
	})
}

// belongs deletes the row of key unless a good reference is to the content that key ends with.
func (a *audit) belongs(key []byte, what string, good func(ref) bool) error {
	found := false
	root := key[len(key)-half:]
	err := scan(a.r, append(a.p.space.table(nil, tabRef), root...), func(key, _ []byte) error {
		r, err := refOf(key)
		if found = found || err == nil && good(r); found {
			return errStop
		}
		return err
	})
	if err != nil || found {
		return err
	}
	return a.set("", what, bytes.Clone(key), nil)
}

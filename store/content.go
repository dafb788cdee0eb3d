package store

import (
	"encoding/binary"
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

// PutManifest remembers a manifest whose content is being fetched, until a file of that content is in the index, or
// the tree no longer wants it at a path that did.
func (p *Pool) PutManifest(m chunker.Manifest) error {
	return p.change("remember manifest "+m.Root().String(), func(c *change) error {
		root := m.Root()
		c.lists.add(m)
		c.refs[ref{root: root, kind: refFetch}] = true
		return nil
	})
}

// manifests are the lists of chunks that a change was given or met.
type manifests struct {
	of map[chunker.ID]chunker.Manifest
}

func (ms *manifests) add(m chunker.Manifest) { ms.set(m.Root(), m) }

func (ms *manifests) set(root chunker.ID, m chunker.Manifest) {
	if ms.of == nil {
		ms.of = map[chunker.ID]chunker.Manifest{}
	}
	ms.of[root] = m
}

// meet takes the list of v, if v has one.
func (ms *manifests) meet(v event.Value) {
	if _, ok := ms.of[v.Root]; ok {
		return
	}
	if m, ok := inline(v); ok {
		ms.set(v.Root, m)
	}
}

// moveRefs notes what content came to n, and what went.
func (c *change) moveRefs(n *node) {
	was := n.had && n.old.Known.Value.Kind == event.File
	is := n.has && n.have.Known.Value.Kind == event.File
	old, now := n.old.Known.Value, n.have.Known.Value
	if was && is && old.Root == now.Root {
		return
	}
	if was {
		c.lists.meet(old)
		c.refs[ref{old.Root, refFile, n.path}] = false
	}
	if is {
		c.lists.meet(now)
		c.refs[ref{now.Root, refFile, n.path}] = true
	}
	c.endFetch(n)
}

// endFetch lets go of a manifest that came ahead of its content, once n wants that content no more.
func (c *change) endFetch(n *node) {
	v := n.before.Value
	if !n.was.needs || v.Kind != event.File || len(v.Chunks) > 0 || v.Size == 0 {
		return
	}
	if n.now.needs && n.after.Value.Root == v.Root {
		return
	}
	if r := (ref{root: v.Root, kind: refFetch}); !c.refs[r] {
		c.refs[r] = false
	}
}

// stake is what a change does to the references to one content.
type stake struct {
	here    [3]int // references that it writes, by kind
	gone    bool   // it takes some away
	example event.Path
}

func (s *stake) content() bool { return s.here[refFile]+s.here[refVersion] > 0 }

// settleRefs writes the references, and the rows of content that is new on this disk or has left it.
func (c *change) settleRefs() error {
	c.stakes = map[chunker.ID]*stake{}
	for r, here := range c.refs {
		if err := c.mark(c.p.space.ref(r), here); err != nil {
			return err
		}
		c.stake(r, here)
	}
	for root, s := range c.stakes {
		if err := c.welcome(root, s); err != nil {
			return err
		}
		if s.gone {
			if err := c.part(root); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *change) stake(r ref, here bool) {
	s := c.stakes[r.root]
	if s == nil {
		s = &stake{}
		c.stakes[r.root] = s
	}
	if !here {
		s.gone = true
		return
	}
	s.here[r.kind]++
	if r.kind == refFile {
		s.example = r.path
	}
}

// list is the manifest of root, from the change itself or as it is stored.
func (c *change) list(root chunker.ID) (chunker.Manifest, error) {
	if m, ok := c.lists.of[root]; ok {
		return m, nil
	}
	m, ok, err := c.p.manifest(root)
	if err == nil && !ok {
		err = ErrNoManifest
	}
	if err == nil {
		c.lists.set(root, m)
	}
	return m, err
}

// welcome writes where the chunks of root lie, unless that is known from another place of the same content. A version of
// which no manifest is known is kept as a file that no chunk is read from; a file of the tree is not, for then it would
// silently not be served.
func (c *change) welcome(root chunker.ID, s *stake) error {
	if s.here == [3]int{} {
		return nil
	}
	m, err := c.list(root)
	switch {
	case errors.Is(err, ErrNoManifest) && s.here[refFile] == 0:
		return nil
	case err != nil:
		return wrap(string(s.example)+": "+root.String(), err)
	}
	long := len(m.Chunks) > event.MaxInline
	if long || s.here[refVersion]+s.here[refFetch] > 0 { // no row of the index has the list
		if err := c.putBlocks(root, m); err != nil {
			return err
		}
	}
	if !s.content() {
		return nil
	}
	if long {
		if others, err := c.shared(root, false); err != nil || others {
			return err
		}
	}
	return c.putChunks(root, m)
}

func (c *change) putChunks(root chunker.ID, m chunker.Manifest) error {
	var at int64
	for _, k := range m.Chunks {
		c.row = appendPlace(c.row[:0], at, k.Size)
		if err := c.b.Set(c.p.space.chunk(k.ID, root), c.row, nil); err != nil {
			return err
		}
		at += int64(k.Size)
	}
	return nil
}

func (c *change) putBlocks(root chunker.ID, m chunker.Manifest) error {
	for _, b := range m.Blocks() {
		if err := c.b.Set(c.p.space.block(chunker.Sum(b), root), b, nil); err != nil {
			return err
		}
	}
	return nil
}

// part deletes the rows of content that no place is left of.
func (c *change) part(root chunker.ID) error {
	content, err := c.stays(root, false)
	if err != nil || content {
		return err
	}
	m, err := c.list(root)
	if errors.Is(err, ErrNoManifest) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range m.Chunks {
		if err := c.b.Delete(c.p.space.chunk(k.ID, root), nil); err != nil {
			return err
		}
	}
	if fetch, err := c.stays(root, true); err != nil || fetch {
		return err
	}
	for _, b := range m.Blocks() {
		if err := c.b.Delete(c.p.space.block(chunker.Sum(b), root), nil); err != nil {
			return err
		}
	}
	return nil
}

// stays says whether, after this change, content lies somewhere, or with fetch whether its manifest is waited with.
func (c *change) stays(root chunker.ID, fetch bool) (bool, error) {
	s := c.stakes[root]
	if !fetch && s.content() || fetch && s.here[refFetch] > 0 {
		return true, nil
	}
	return c.shared(root, fetch)
}

// shared says whether the database has a reference to root, of the kind asked for, that this change leaves alone.
func (c *change) shared(root chunker.ID, fetch bool) (bool, error) {
	it, err := c.sharesIter()
	if err != nil {
		return false, err
	}
	prefix := append(c.p.space.table(nil, tabRef), root[:]...)
	end := after(prefix)
	for ok := it.SeekGE(prefix); ok && (end == nil || string(it.Key()) < string(end)); ok = it.Next() {
		r, err := refOf(it.Key())
		if err != nil {
			return false, err
		}
		if _, touched := c.refs[r]; !touched && (r.kind == refFetch) == fetch {
			return true, nil
		}
	}
	return false, it.Error()
}

func (c *change) sharesIter() (*pebble.Iterator, error) {
	if c.shares != nil {
		return c.shares, nil
	}
	prefix := c.p.space.table(nil, tabRef)
	it, err := c.p.db.pebble.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	c.shares = it
	return it, err
}

func appendPlace(b []byte, at int64, size uint32) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, zigzag(at)), uint64(size))
}

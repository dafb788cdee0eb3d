package store

import (
	"encoding/binary"
	"errors"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// PutManifest remembers a manifest whose content is being fetched, until a file of that content is in the index, or
// the tree no longer wants it at a path that did.
func (p *Pool) PutManifest(m chunker.Manifest) error {
	return p.change("remember manifest "+m.Root().String(), func(c *change) error {
		root := m.Root()
		if here, err := c.shared(root, false); err != nil || here {
			return err
		}
		c.lists.add(m)
		c.refs[ref{root: root, kind: refFetch}] = true
		return nil
	})
}

// manifests are the lists of chunks that a change was given or met.
type manifests struct {
	of    map[chunker.ID]chunker.Manifest
	alone map[chunker.ID]bool // those that a file needs whose value does not list them
}

func (ms *manifests) add(m chunker.Manifest) { ms.set(m.Root(), m) }

func (ms *manifests) set(root chunker.ID, m chunker.Manifest) {
	if ms.of == nil {
		ms.of = map[chunker.ID]chunker.Manifest{}
	}
	ms.of[root] = m
}

// keep says that the manifest of root has to be stored by itself.
func (ms *manifests) keep(root chunker.ID) {
	if ms.alone == nil {
		ms.alone = map[chunker.ID]bool{}
	}
	ms.alone[root] = true
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

// listed says whether v names its chunks itself. A short file mostly does; whether it does is up to its author.
func listed(v event.Value) bool { return len(v.Chunks) > 0 || v.Size == 0 }

// moveRefs notes what content came to n, and what went.
func (c *change) moveRefs(n *node) {
	was := n.had && n.old.Known.Value.Kind == event.File
	is := n.has && n.have.Known.Value.Kind == event.File
	old, now := n.old.Known.Value, n.have.Known.Value
	if was && is && old.Root == now.Root && (listed(now) || !listed(old)) {
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
	if is && !listed(now) {
		c.lists.keep(now.Root)
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
	if c.lists.alone[root] || s.here[refVersion]+s.here[refFetch] > 0 { // no row of the index has the list
		if err := c.putBlocks(root, m); err != nil {
			return err
		}
	}
	if !s.content() {
		return nil
	}
	if len(m.Chunks) > event.MaxInline {
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

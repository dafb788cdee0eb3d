package folder

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bwaklog/meerkat/event"
)

// feed looks at each dirty path, and queues the directories that have to be walked. It works through sorted paths, so
// that a directory comes before what is in it.
func (p *pass) feed(dirty []Dirty) error {
	dirty = slices.Clone(dirty)
	slices.SortFunc(dirty, func(a, b Dirty) int { return cmp.Compare(a.Path, b.Path) })
	for i, d := range dirty {
		for j := i + 1; j < len(dirty) && dirty[j].Path == d.Path; j++ {
			d.Below = d.Below || dirty[j].Below
		}
		if i > 0 && dirty[i-1].Path == d.Path {
			continue
		}
		if err := p.dirty(d); err != nil {
			return err
		}
		if err := p.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// dirty looks at one path, after the directories above it: where one of them is new or gone, it is what changed.
func (p *pass) dirty(d Dirty) error {
	if p.whole[""] {
		return nil
	}
	if d.Path == "" {
		p.whole[""] = true
		p.dirs.push("")
		return nil
	}
	if _, err := event.ParsePath([]byte(d.Path)); err != nil {
		return nil //nolint:nilerr // the node's own files, or nothing that a pool could hold
	}
	for i, c := range []byte(d.Path) {
		if c != '/' {
			continue
		}
		above := d.Path[:i]
		if p.whole[above] {
			return nil
		}
		if p.sound[above] {
			continue
		}
		sound, err := p.look(Dirty{Path: above})
		if !sound || err != nil {
			return err
		}
		p.sound[above] = true
	}
	_, err := p.look(d)
	return err
}

// look compares one path with its row. It says whether it is a directory, here as in the index.
func (p *pass) look(d Dirty) (sound bool, err error) {
	k, err := p.rowOf(d.Path)
	if err != nil {
		return false, err
	}
	st, err := p.t.lstat(d.Path)
	switch {
	case Absent(err) && k == nil:
		return false, nil
	case Absent(err):
		return false, p.vanished(d.Path, k)
	case err != nil:
		p.trouble(d.Path, err)
		return false, nil
	}
	dir := st.Mode&modeType == modeDir
	e := entry{name: d.Path.Base(), stat: st}
	e.hide, _ = p.rules.one(string(d.Path), dir)
	if k != nil {
		p.renumbered(st, k.Stat)
	}
	switch {
	case k != nil && !dir && !e.hide && k.Stat == st && !k.Racy && k.Kind != event.Tomb:
		return false, nil
	case dir && k != nil && k.Kind == event.Dir && !d.Below && !e.hide && !p.elsewhere(d.Path, *k, st):
		return true, p.directory(d.Path, st, k, false)
	}
	p.whole[d.Path] = true
	return false, p.entry(d.Path, e, k, d.Below)
}

// vanished notes a row whose path is not there, with the device of the directory that it was in.
func (p *pass) vanished(path event.Path, k *Known) error {
	parent, err := p.t.lstat(path.Dir())
	if err != nil {
		p.unlisted(path.Dir(), err)
		return nil
	}
	return p.missing(path, k, parent.Dev)
}

// rowCache remembers the rows of one directory, for an index that cannot be asked for one row.
type rowCache struct {
	dir  event.Path
	rows []row
	full bool
}

// rowOf is the index's row of path, or nil.
func (p *pass) rowOf(path event.Path) (*Known, error) {
	if p.ix.At != nil {
		k, ok, err := p.ix.At(path)
		if !ok || err != nil {
			return nil, err
		}
		return &k, nil
	}
	if dir := path.Dir(); !p.row.full || p.row.dir != dir {
		rows, err := p.children(dir)
		if err != nil {
			return nil, err
		}
		p.row = rowCache{dir: dir, rows: rows, full: true}
	}
	i, ok := slices.BinarySearchFunc(p.row.rows, path.Base(), func(r row, name string) int { return strings.Compare(r.name, name) })
	if !ok {
		return nil, nil
	}
	return &p.row.rows[i].k, nil
}

package store

import (
	"errors"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// State is the state of path; the zero State where nothing is known of it. It is the caller's.
func (p *Pool) State(path event.Path) (event.State, error) {
	e, err := p.entry(path)
	return e.state, err
}

// View is what the tree wants at path. A directory whose children live is one, even where no event says so.
func (p *Pool) View(path event.Path) (event.View, error) {
	e, err := p.entry(path)
	return e.view(), err
}

// LiveKids says whether anything lives below path.
func (p *Pool) LiveKids(path event.Path) (bool, error) {
	e, err := p.entry(path)
	return e.kids > 0, err
}

func (p *Pool) entry(path event.Path) (entry, error) {
	if err := p.db.gate.enter(); err != nil {
		return entry{}, err
	}
	defer p.db.gate.leave()
	e, err := p.entryFrom(p.db.pebble, path)
	return e, wrap("read tree at "+string(path), err)
}

func (p *Pool) entryFrom(r pebble.Reader, path event.Path) (entry, error) {
	row, err := get(r, p.space.path(nil, tabTree, path))
	if err != nil || row == nil {
		return entry{}, err
	}
	e, err := p.writers.readEntry(row)
	if err == nil {
		err = p.revive(r, &e)
	}
	return e, err
}

// Tree calls yield for every path of which anything is known, tombstones as well unless they were collected, each directory
// before what is below it, until yield returns false. It sees the tree as it was when it began. Yield may call the pool.
func (p *Pool) Tree(yield func(event.Path, event.View) bool) error {
	return p.treeRows(p.space.table(nil, tabTree), all, yield)
}

// TreeWhere is [Pool.Tree] for the paths that match alone: the others cost a tenth.
func (p *Pool) TreeWhere(match func(event.Path) bool, yield func(event.Path, event.View) bool) error {
	return p.treeRows(p.space.table(nil, tabTree), match, yield)
}

func all(event.Path) bool { return true }

// TreeDir is [Pool.Tree] for the direct children of dir.
func (p *Pool) TreeDir(dir event.Path, yield func(event.Path, event.View) bool) error {
	return p.treeRows(p.space.dir(nil, tabTree, dir), all, yield)
}

func (p *Pool) treeRows(prefix []byte, match func(event.Path) bool, yield func(event.Path, event.View) bool) error {
	if err := p.db.gate.enter(); err != nil {
		return err
	}
	defer p.db.gate.leave()
	err := scan(p.db.pebble, prefix, func(key, row []byte) error {
		path, err := pathOf(key)
		if err != nil || !match(path) {
			return err
		}
		e, err := p.writers.readEntry(append([]byte(nil), row...)) // the view keeps pieces of it
		if err != nil {
			return err
		}
		if v := e.view(); e.wanted(v) && !yield(path, v) {
			return errStop
		}
		return nil
	})
	return wrap("read tree", err)
}

// Unsettled are the paths whose view has losers or is an implied directory, each directory before what is below it.
func (p *Pool) Unsettled() (paths []event.Path) {
	if p.db.gate.enter() != nil {
		return nil
	}
	defer p.db.gate.leave()
	err := scan(p.db.pebble, p.space.table(nil, tabUnsettled), func(key, _ []byte) error {
		path, err := pathOf(key)
		paths = append(paths, path)
		return err
	})
	if err != nil && !errors.Is(err, ErrClosed) {
		p.db.log.Error("read unsettled paths", "pool", p.id, "err", err)
	}
	return paths
}

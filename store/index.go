package store

import (
	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// Stat is what tells one state of an inode from another.
type Stat struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime int64  // ns since 1970
	Mode         uint32 // as the folder understands it
}

// Have is what the index says of a path: the value that lies on this disk, as it was last seen or applied, what its
// author would have known, and the inode it was found in. A value of kind [event.Tomb] says that the path is known to be
// clear; without a row nothing is known of it.
type Have struct {
	Known event.Known
	Stat  Stat
	Racy  bool // the stat cannot tell a later change: look again
}

// Have is the index's row of path. It is the caller's.
func (p *Pool) Have(path event.Path) (Have, bool, error) {
	if err := p.db.gate.enter(); err != nil {
		return Have{}, false, err
	}
	defer p.db.gate.leave()
	h, ok, err := p.haveAt(path)
	return h, ok, wrap("read index at "+string(path), err)
}

// haveAt reads both rows from one snapshot: a base newer than the value would claim a sight that nobody had.
func (p *Pool) haveAt(path event.Path) (Have, bool, error) {
	snap := p.db.pebble.NewSnapshot()
	defer func() { _ = snap.Close() }() // cannot fail, it reads nothing
	return p.haveFrom(snap, path)
}

func (p *Pool) haveFrom(r pebble.Reader, path event.Path) (h Have, ok bool, err error) {
	row, err := get(r, p.space.path(nil, tabIndex, path))
	if err != nil {
		return Have{}, false, err
	}
	if row == nil {
		e, err := p.entryFrom(r, path)
		if err != nil || !e.collected {
			return Have{}, false, err
		}
		return cleared(e.view()), true, nil
	}
	h, current, err := p.writers.readHave(row)
	if err != nil || !current {
		return h, err == nil, err
	}
	e, err := p.entryFrom(r, path)
	if err != nil {
		return Have{}, false, err
	}
	h.follow(e.view())
	return h, true, nil
}

// HaveDir calls yield for each direct child of dir ("" is the top) that the index knows, deletions as well unless
// they were collected, in the order of the names' bytes, until yield returns false. It is for scanning and therefore cheap: of Known only the Value is filled
// in, and of that not Chunks; [Pool.Have] has the rest. Yield may call the pool.
func (p *Pool) HaveDir(dir event.Path, yield func(name string, h Have) bool) error {
	if err := p.db.gate.enter(); err != nil {
		return err
	}
	defer p.db.gate.leave()
	prefix := p.space.dir(nil, tabIndex, dir)
	err := scan(p.db.pebble, prefix, func(key, row []byte) error {
		r := &reader{b: row}
		h, current := r.seen()
		if r.bad || current && len(r.b) != 0 || len(key) == len(prefix) {
			return corrupt("row of the index")
		}
		if !yield(string(key[len(prefix):]), h) {
			return errStop
		}
		return nil
	})
	return wrap("read index below "+string(dir), err)
}

// Index calls yield for every row of the index, as [Pool.HaveDir] does for those of one directory, each directory
// before what is below it.
func (p *Pool) Index(yield func(path event.Path, h Have) bool) error {
	if err := p.db.gate.enter(); err != nil {
		return err
	}
	defer p.db.gate.leave()
	err := scan(p.db.pebble, p.space.table(nil, tabIndex), func(key, row []byte) error {
		path, err := pathOf(key)
		if err != nil {
			return err
		}
		r := &reader{b: row}
		h, _ := r.seen()
		if r.bad {
			return corrupt("row of the index")
		}
		if !yield(path, h) {
			return errStop
		}
		return nil
	})
	return wrap("read index", err)
}

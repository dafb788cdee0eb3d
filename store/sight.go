package store

import (
	"github.com/bwaklog/meerkat/event"
)

// Sight is what is known of one path at one moment: what the index says lies on the disk, and what the tree wants.
type Sight struct {
	Have  Have
	Known bool // Have is a row of the index
	View  event.View
}

// Sights are [Pool.Have] and [Pool.View] of each path, all of one moment, in the order of paths. Of many it is much
// cheaper than one by one, most of all where neighbours stand together. They are the caller's.
func (p *Pool) Sights(paths []event.Path) ([]Sight, error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	snap := p.db.pebble.NewSnapshot()
	defer func() { _ = snap.Close() }() // cannot fail, it reads nothing
	rs := rows{r: snap}
	defer rs.close()
	out := make([]Sight, len(paths))
	var key []byte
	for i, path := range paths {
		var err error
		if key, err = p.sight(&rs, key, path, &out[i]); err != nil {
			return nil, wrap("read index and tree at "+string(path), err)
		}
	}
	return out, nil
}

func (p *Pool) sight(rs *rows, key []byte, path event.Path, s *Sight) ([]byte, error) {
	key = p.space.path(key[:0], tabTree, path)
	row, err := rs.get(key)
	if err != nil {
		return key, err
	}
	var e entry
	if row != nil {
		if e, err = p.writers.readEntry(row); err == nil {
			err = p.revive(rs.r, &e)
		}
		if err != nil {
			return key, err
		}
	}
	s.View = e.view()
	key = p.space.path(key[:0], tabIndex, path)
	if row, err = rs.get(key); err != nil {
		return key, err
	}
	if row == nil {
		if e.collected {
			s.Have, s.Known = cleared(s.View), true
		}
		return key, nil
	}
	h, current, err := p.writers.readHave(row)
	if err != nil {
		return key, err
	}
	if current {
		h.follow(s.View)
	}
	s.Have, s.Known = h, true
	return key, nil
}

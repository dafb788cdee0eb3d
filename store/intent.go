package store

import (
	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// Intent says that the node is about to replace Old by New at Path. It stays open until a [Tx] closes it, so that
// after a crash the node knows where a file that is not as the index says may be its own unfinished work.
type Intent struct {
	Path     event.Path
	Old, New event.Value
	OldStat  Stat
}

// Begin opens intents; one for a path that has one already takes its place. manifests are those of files in New that do not list
// their chunks, unless they are known; they stay known until the intent is closed. It is durable when Begin returns. Errors:
// [ErrNoManifest], [ErrDiskFull].
func (p *Pool) Begin(intents []Intent, manifests ...chunker.Manifest) error {
	if len(intents) == 0 {
		return nil
	}
	return p.change("open intents", func(c *change) error {
		for _, m := range manifests {
			c.lists.add(m)
		}
		for _, i := range intents {
			if _, err := event.ParsePath([]byte(i.Path)); err != nil {
				return err
			}
			if err := c.begin(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// begin opens an intent. The list of chunks of what it brings is kept until it is closed: whatever the tree wants by then, a file
// of that content lies at the path, and the index has to say so.
func (c *change) begin(i Intent) error {
	if err := c.finish(i.Path); err != nil {
		return err
	}
	if pin, ok := i.pin(); ok {
		if _, err := c.list(i.New.Root); err != nil {
			return wrap(string(i.Path)+": "+i.New.Root.String(), err)
		}
		c.refs[pin] = true
	}
	return c.b.Set(c.p.space.path(nil, tabIntent, i.Path), appendIntent(nil, i), nil)
}

// finish closes the intent at path, if one is open.
func (c *change) finish(path event.Path) error {
	key := c.p.space.path(nil, tabIntent, path)
	row, err := c.db.get(key)
	if err != nil || row == nil {
		return err
	}
	i, err := readIntent(path, row)
	if err != nil {
		return err
	}
	if pin, ok := i.pin(); ok {
		c.refs[pin] = false
	}
	return c.b.Delete(key, nil)
}

// pin is the reference by which the list of what i brings stays; false where the value itself has the list.
func (i Intent) pin() (ref, bool) {
	return ref{i.New.Root, refFetch, i.Path}, i.New.Kind == event.File && !listed(i.New)
}

// Intents are all that are open, each directory before what is below it.
func (p *Pool) Intents() (is []Intent, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	err = scan(p.db.pebble, p.space.table(nil, tabIntent), func(key, row []byte) error {
		path, err := pathOf(key)
		if err != nil {
			return err
		}
		i, err := readIntent(path, row)
		is = append(is, i)
		return err
	})
	return is, wrap("read intents", err)
}

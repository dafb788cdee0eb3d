package store

import (
	"github.com/bwaklog/meerkat/event"
)

// Intent says that the node is about to replace Old by New at Path. It stays open until a [Tx] closes it, so that
// after a crash the node knows where a file that is not as the index says may be its own unfinished work.
type Intent struct {
	Path     event.Path
	Old, New event.Value
	OldStat  Stat
}

// Begin opens intents; one for a path that has one already takes its place. It is durable when Begin returns.
func (p *Pool) Begin(intents []Intent) error {
	if len(intents) == 0 {
		return nil
	}
	return p.change("open intents", func(c *change) error {
		for _, i := range intents {
			if _, err := event.ParsePath([]byte(i.Path)); err != nil {
				return err
			}
			if err := c.b.Set(p.space.path(nil, tabIntent, i.Path), appendIntent(nil, i), nil); err != nil {
				return err
			}
		}
		return nil
	})
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

package folder

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/bwaklog/meerkat/event"
)

// emitGone emits what is gone, children first, once the guards have been asked again: an index that disagrees with a folder
// that is not there any more proves nothing.
func (s *scan) emitGone(ctx context.Context) error {
	if len(s.absent) == 0 {
		return nil
	}
	if err := s.f.Check(); err != nil {
		return err
	}
	g := &goner{scan: s, ctx: ctx}
	paths := slices.SortedFunc(maps.Keys(s.absent), func(a, b event.Path) int { return cmp.Compare(b, a) })
	for _, p := range paths {
		if s.covered(p) {
			continue
		}
		l := s.absent[p]
		if !l.below && s.unmounted(p, l.known, l.dev) {
			s.held(p)
			continue
		}
		if _, err := g.gone(p, l.known, l.below); err != nil {
			return err
		}
	}
	return g.flush()
}

// covered says whether a directory above p is gone as well: then p goes with it.
func (s *scan) covered(p event.Path) bool {
	for dir := p.Dir(); dir != ""; dir = dir.Dir() {
		if _, ok := s.absent[dir]; ok {
			return true
		}
	}
	return false
}

// unmounted says whether what is gone was on another device than the directory that held it: a disk that was taken away
// together with its mount point.
func (s *scan) unmounted(p event.Path, k Known, parent uint64) bool {
	return k.Kind == event.Dir && k.Stat.Dev != 0 && parent != 0 && !s.sameDevice(k.Stat.Dev, parent) &&
		(s.ix.Accept == nil || !s.ix.Accept(p))
}

// goner collects batches of what is gone.
type goner struct {
	*scan
	ctx   context.Context
	batch []Seen
}

// gone adds p and all that the index has below it. held: something there may only be unmounted, so p stays as well.
func (g *goner) gone(p event.Path, k Known, belowOnly bool) (held bool, err error) {
	if k.Kind == event.Dir {
		if held, err = g.below(p, k); err != nil {
			return held, err
		}
	}
	if held || belowOnly {
		return held, nil
	}
	return false, g.add(Seen{Path: p, Gone: true})
}

func (g *goner) below(dir event.Path, k Known) (held bool, err error) {
	rows, err := g.children(dir)
	if err != nil {
		return false, err
	}
	for _, r := range slices.Backward(rows) {
		stays, err := g.row(child(dir, r.name), r.k, k.Stat.Dev)
		if err != nil {
			return false, err
		}
		held = held || stays
	}
	return held, nil
}

func (g *goner) row(p event.Path, k Known, dev uint64) (held bool, err error) {
	if hide, _ := g.rules.one(string(p), k.Kind == event.Dir); hide {
		return false, g.add(Seen{Path: p, Ignored: true})
	}
	switch {
	case k.Kind == event.Tomb:
		return false, nil
	case g.unmounted(p, k, dev):
		g.held(p)
		return true, nil
	}
	return g.gone(p, k, false)
}

func (g *goner) add(s Seen) error {
	if err := g.ctx.Err(); err != nil {
		return err
	}
	g.batch = append(g.batch, s)
	if len(g.batch) < emitMax {
		return nil
	}
	return g.flush()
}

func (g *goner) flush() error {
	if len(g.batch) == 0 {
		return nil
	}
	batch := g.batch
	g.batch = nil
	return g.emit(batch)
}

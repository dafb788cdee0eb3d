package folder

import (
	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// maxTwins bounds the rows that a scan holds of directories that went away.
const maxTwins = 100_000

// findTwins gathers the files of dirty directories that are not where the index has them. Renaming a directory changes
// nothing about the files in it, not even their ctime: a new path in the very state of such a row is that file, as surely
// as a path that still has its row's state is unchanged, and need not be read.
func (p *pass) findTwins(dirty []Dirty) error {
	if p.ix.Manifest == nil {
		return nil
	}
	for _, d := range dirty {
		if _, err := event.ParsePath([]byte(d.Path)); err != nil {
			continue // the root, or nothing that has a row
		}
		k, err := p.rowOf(d.Path)
		if err != nil {
			return err
		}
		if k == nil || k.Kind != event.Dir {
			continue
		}
		if _, err := p.t.lstat(d.Path); !Absent(err) {
			continue
		}
		if err := p.gather(d.Path); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) gather(dir event.Path) error {
	rows, err := p.children(dir)
	if err != nil {
		return err
	}
	for _, r := range rows {
		switch {
		case r.k.Kind == event.Dir:
			if err := p.gather(child(dir, r.name)); err != nil {
				return err
			}
		case r.k.Kind == event.File && !r.k.Racy && r.k.Stat.Size > 0 && len(p.twins) < maxTwins:
			p.twins[r.k.Stat] = r.k
		}
	}
	return p.ctx.Err()
}

// twin is what reading j would find, where that is known without reading.
func (p *pass) twin(j job) (Seen, bool) {
	if j.known != nil && j.known.Kind != event.Tomb {
		return Seen{}, false
	}
	k, ok := p.twins[j.stat]
	if !ok || !p.wantsClass(j, k.Class) {
		return Seen{}, false
	}
	m, ok, err := p.ix.Manifest(k.Root)
	if !ok || err != nil || m.Size != j.stat.Size || m.Root() != k.Root {
		return Seen{}, false // reading it tells as well
	}
	return Seen{Path: j.path, Value: fileValue(m, j.stat), Manifest: m, Stat: j.stat}, true
}

// wantsClass says whether the pool would have j cut as c.
func (p *pass) wantsClass(j job, c chunker.Class) bool {
	if p.ix.Hint == nil {
		return true
	}
	hint, ok := p.ix.Hint(j.path)
	return !ok || hint.Keep(j.stat.Size) == c
}

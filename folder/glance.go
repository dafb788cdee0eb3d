package folder

import (
	"context"

	"github.com/bwaklog/meerkat/event"
)

// Glance looks at single files while a scan is under way, which may take long: what differs from the index comes back as
// [Folder.Scan] would tell it. It concludes nothing about a path that is not plainly a file of at most most bytes, in a
// directory that the index knows just so, and not ignored: the next scan does. Its order is that of paths.
func (f *Folder) Glance(ctx context.Context, ix Index, paths []event.Path, most int64) (out []Seen, err error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if _, _, err := f.rules.reload(f.fs, new(int)); err != nil { // it is no scan's business that they changed
		return nil, err
	}
	p := &pass{scan: newScan(f, ix, nil, nil), ctx: ctx}
	for _, path := range paths {
		j, plain, err := p.plain(path, most)
		if err != nil {
			return nil, err
		}
		if !plain {
			continue
		}
		seen, err := p.read(j)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && (j.known == nil || !j.known.holds(seen.Value)) { // trouble is told by the scan
			out = append(out, seen)
		}
	}
	return out, nil
}

// plain says whether path is such a file, and has changed.
func (p *pass) plain(path event.Path, most int64) (j job, ok bool, err error) {
	if _, err := event.ParsePath([]byte(path)); err != nil {
		return job{}, false, nil //nolint:nilerr // nothing that a pool could hold
	}
	if hide, _ := p.f.Ignored(path, false); hide {
		return job{}, false, nil
	}
	if sound, err := p.inPlace(path.Dir()); !sound || err != nil {
		return job{}, false, err
	}
	st, err := p.t.lstat(path)
	if err != nil || st.Mode&modeType != modeFile || st.Size > most {
		return job{}, false, nil //nolint:nilerr // the scan tells
	}
	k, known, err := p.ix.At(path)
	switch {
	case err != nil || !known:
		return job{path: path, stat: st}, err == nil, err
	case k.Kind != event.File && k.Kind != event.Tomb || k.Stat == st:
		return job{}, false, nil
	}
	return job{path: path, stat: st, known: &k}, true, nil
}

// inPlace says whether the index knows dir as the directory that stands there.
func (p *pass) inPlace(dir event.Path) (bool, error) {
	if dir == "" {
		return true, nil
	}
	k, known, err := p.ix.At(dir)
	if err != nil || !known || k.Kind != event.Dir {
		return false, err
	}
	st, err := p.t.lstat(dir)
	return err == nil && st.Mode&modeType == modeDir && st.Dev == k.Stat.Dev && st.Ino == k.Stat.Ino, nil
}

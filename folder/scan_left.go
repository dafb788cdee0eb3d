package folder

import "github.com/bwaklog/meerkat/event"

// remains is what became of a directory that the pool deleted and that is still here.
type remains uint8

const (
	remade remains = iota // somebody uses it again, or has made another one
	kept                  // it stays for the ignored and special things in it
	hollow                // it stayed for such things, and they are gone: nobody needs it
)

// leaveLeftover says whether a directory that the pool deleted may be left as it is. Those that nothing is in any more are
// sent with OnlyLeft, so that they go as well.
func (p *pass) leaveLeftover(dir event.Path, st Stat, k Known) (bool, error) {
	var empty []Seen
	what, err := p.leftover(dir, st, k, &empty)
	if err != nil || what == remade {
		return false, err
	}
	for _, s := range empty {
		if err := p.send(s); err != nil {
			return true, err
		}
	}
	return true, nil
}

// leftover looks through a directory that the pool deleted, and adds those that are hollow to empty.
func (s *scan) leftover(dir event.Path, st Stat, k Known, empty *[]Seen) (remains, error) {
	var l listing
	if err := s.t.list(dir, &l); err != nil {
		s.unlisted(dir, err)
		return kept, nil
	}
	rows, err := s.children(dir)
	if err != nil {
		return remade, err
	}
	known := map[string]Known{}
	for _, r := range rows {
		known[r.name] = r.k
	}
	what := hollow
	for _, e := range l.entries {
		one, err := s.rest(child(dir, e.name), e, known[e.name], empty)
		if one == remade || err != nil {
			return remade, err
		}
		what = min(what, one)
	}
	if what == hollow {
		if !s.left(dir, st, k) {
			return remade, nil
		}
		*empty = append(*empty, Seen{Path: dir, Value: event.Value{Kind: event.Dir, Mode: st.Perm()}, Stat: st, Only: OnlyLeft})
	}
	return what, nil
}

// rest says whether one thing in a deleted directory may be left there in silence.
func (s *scan) rest(path event.Path, e entry, k Known, empty *[]Seen) (remains, error) {
	dir := e.stat.Mode&modeType == modeDir
	if hide, _ := s.rules.one(string(path), dir); hide {
		return kept, nil
	}
	if _, ok := e.stat.Kind(); !ok && e.err == nil {
		return kept, nil
	}
	if dir && k.Kind == event.Tomb {
		return s.leftover(path, e.stat, k, empty)
	}
	return remade, nil
}

// left says whether a directory is the very one that applying a deletion left here. One that was made since, even if it
// got the same number, was born later than that one was last changed.
func (s *scan) left(dir event.Path, st Stat, k Known) bool {
	born, ok := s.t.born(dir)
	return ok && k.Stat.is(st) && born <= k.Stat.CTime
}

package folder

import (
	"fmt"

	"github.com/bwaklog/meerkat/event"
)

// walk takes directories from the queue until it is over.
func (p *pass) walk() error {
	w := &walker{pass: p}
	for {
		dir, ok := p.dirs.pop()
		if !ok {
			return p.ctx.Err()
		}
		err := w.dir(dir)
		p.dirs.done()
		if err != nil {
			return err
		}
	}
}

// walker is one worker's buffers.
type walker struct {
	*pass
	l    listing
	todo []finding
}

// finding is a name that needs a closer look.
type finding struct {
	e      entry
	k      Known
	known  bool
	absent bool
}

func (w *walker) dir(dir event.Path) error {
	if err := w.t.list(dir, &w.l); err != nil && dir == "" {
		return fmt.Errorf("scan the root: %w", err)
	} else if err != nil {
		w.unlisted(dir, err)
		return nil
	}
	w.scan.dirs.Add(1)
	w.files.Add(int64(len(w.l.entries)))
	if err := w.compare(dir); err != nil {
		return err
	}
	for _, f := range w.todo {
		if err := w.act(dir, f); err != nil {
			return err
		}
	}
	return nil
}

// unlisted notes a directory that could not be read whole. Nothing in it counts as gone.
func (s *scan) unlisted(dir event.Path, err error) {
	if Absent(err) {
		s.retry(dir)
		return
	}
	s.trouble(dir, err)
}

// compare merges the listing with the index, and notes what needs a closer look. It must not block while the index
// yields: an index may hold a lock that emit needs.
func (w *walker) compare(dir event.Path) error {
	w.todo = w.todo[:0]
	w.hide(dir)
	es, i := w.l.entries, 0
	err := w.ix.Dir(dir, func(name string, k Known) bool {
		for ; i < len(es) && es[i].name < name; i++ {
			w.todo = append(w.todo, finding{e: es[i]})
		}
		if i == len(es) || es[i].name != name {
			w.todo = append(w.todo, finding{e: entry{name: name}, k: k, known: true, absent: true})
			return true
		}
		if !w.same(&es[i], &k) {
			w.todo = append(w.todo, finding{e: es[i], k: k, known: true})
		}
		i++
		return true
	})
	for ; i < len(es); i++ {
		w.todo = append(w.todo, finding{e: es[i]})
	}
	return err
}

// hide marks what the rules ignore.
func (w *walker) hide(dir event.Path) {
	if dir != "" && w.rules.empty() {
		return
	}
	for i := range w.l.entries {
		e := &w.l.entries[i]
		e.hide, _ = w.rules.one(string(child(dir, e.name)), e.stat.Mode&modeType == modeDir)
	}
}

// same says whether nothing is to be done about e. Directories are always looked at: what is in them may differ.
func (w *walker) same(e *entry, k *Known) bool {
	if k.Stat == e.stat {
		return !k.Racy && !e.hide && e.err == nil && (k.Kind == event.File || k.Kind == event.Link)
	}
	w.renumbered(e.stat, k.Stat)
	return false
}

// renumbered notices that a device has another number than before, as after a boot: the object is the same in all else.
func (s *scan) renumbered(now, was Stat) {
	dev := was.Dev
	if was.Dev = now.Dev; dev == now.Dev || was != now {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved[dev] = now.Dev
}

func (w *walker) act(dir event.Path, f finding) error {
	path := child(dir, f.e.name)
	var k *Known
	if f.known {
		k = &f.k
	}
	if f.absent {
		return w.missing(path, k, w.l.self.Dev)
	}
	return w.entry(path, f.e, k, true)
}

// missing takes note of a row whose path the disk does not have.
func (p *pass) missing(path event.Path, k *Known, dev uint64) error {
	if hide, _ := p.rules.one(string(path), k.Kind == event.Dir); hide {
		return p.ignored(path, k, k.Kind == event.Dir)
	}
	if k.Kind != event.Tomb {
		p.lose(path, lost{known: *k, dev: dev})
	}
	return nil
}

// ignored forgets the rows of an ignored path.
func (p *pass) ignored(path event.Path, k *Known, dir bool) error {
	if k != nil {
		if err := p.send(Seen{Path: path, Ignored: true}); err != nil {
			return err
		}
	}
	if !dir {
		return nil
	}
	rows, err := p.children(path)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := p.ignored(child(path, r.name), &r.k, true); err != nil {
			return err
		}
	}
	return nil
}

type row struct {
	name string
	k    Known
}

// children are the rows of a directory.
func (s *scan) children(dir event.Path) (rows []row, err error) {
	err = s.ix.Dir(dir, func(name string, k Known) bool {
		rows = append(rows, row{name, k})
		return true
	})
	return rows, err
}

// entry deals with a path that is there; k is nil where the index has no row. below: look into directories that the
// index knows, too.
func (p *pass) entry(path event.Path, e entry, k *Known, below bool) error {
	dir := e.stat.Mode&modeType == modeDir
	if e.hide {
		return p.ignored(path, k, dir)
	}
	if e.err != nil {
		p.trouble(path, e.err)
		return nil
	}
	if len(path) > event.MaxPath || len(e.name) > event.MaxName {
		p.problem(path, CodeName, "its name is too long for a pool", "use shorter names, or ignore it with "+IgnoreFile)
		return nil
	}
	kind, ok := e.stat.Kind()
	if !ok {
		p.problem(path, CodeSpecial, "it is a device, FIFO or socket, and is left out", "ignore it with "+IgnoreFile)
		if k != nil && k.Kind != event.Tomb {
			p.lose(path, lost{known: *k, special: true})
		}
		return nil
	}
	if k != nil && k.Kind == event.Dir && !dir {
		p.lose(path, lost{known: *k, below: true})
	}
	switch kind {
	case event.Dir:
		return p.directory(path, e.stat, k, below)
	case event.Link:
		return p.link(path, e.stat, k)
	}
	return p.hand(job{path: path, stat: e.stat, known: k})
}

// directory sends a directory where it is new or has another mode, and has it walked.
func (p *pass) directory(path event.Path, st Stat, k *Known, below bool) error {
	if k != nil && k.Kind == event.Tomb {
		if rest, err := p.leaveLeftover(path, st, *k); rest || err != nil {
			return err
		}
	}
	if k != nil && p.elsewhere(path, *k, st) {
		p.held(path)
		return nil
	}
	v := event.Value{Kind: event.Dir, Mode: st.Perm()}
	switch {
	case k == nil || !k.holds(v):
		if err := p.send(Seen{Path: path, Value: v, Stat: st}); err != nil {
			return err
		}
	case k.Stat.Dev != st.Dev || k.Stat.Ino != st.Ino || k.Racy:
		if err := p.send(Seen{Path: path, Value: v, Stat: st, Only: OnlyStat}); err != nil {
			return err
		}
	}
	if below || k == nil || k.Kind != event.Dir {
		p.dirs.push(path)
	}
	return nil
}

// elsewhere says whether a directory that the index knew on one device is now another one on another device: a disk that
// was mounted here is not, or one that was not is. It does not matter where the index has nothing that could be missed.
func (s *scan) elsewhere(path event.Path, k Known, st Stat) bool {
	if k.Kind != event.Dir || k.Stat.Dev == st.Dev || k.Stat.Dev == 0 || k.Stat.Ino == st.Ino {
		return false
	}
	return !s.sameDevice(k.Stat.Dev, st.Dev) && (s.ix.Accept == nil || !s.ix.Accept(path)) && !s.empty(path)
}

// empty says whether the index has nothing below dir; in doubt it has something.
func (s *scan) empty(dir event.Path) bool {
	none := true
	err := s.ix.Dir(dir, func(_ string, k Known) bool {
		none = k.Kind == event.Tomb
		return none
	})
	return err == nil && none
}

func (s *scan) sameDevice(was, now uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved, ok := s.moved[was]
	return was == now || ok && moved == now
}

func (s *scan) held(path event.Path) {
	s.problem(path, CodeSubMount, "it lies on another disk than before, or its disk is not there",
		"mount it again; nothing below it is changed or deleted until then")
}

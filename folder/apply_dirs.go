package folder

import (
	"fmt"
	"strings"

	"github.com/bwaklog/meerkat/event"
)

// commitDir makes a directory. Its mode comes at the end: until then we have to write into it.
func (b *batch) commitDir(w *work) {
	switch {
	case w.adopt || w.was() == event.Dir:
	case w.was() == event.Tomb:
		b.mkdir(w)
	default:
		b.replace(w)
	}
	w.final = Stat{}
}

func (b *batch) mkdir(w *work) {
	err := b.writable(dirOf(w.Path), func() error { return b.f.fs.Mkdir("create dir", w.name) })
	if isExist(err) {
		b.changed(w)
	} else if err != nil {
		b.fail(w, err)
	}
}

// modes sets the directories' modes, the deepest first, so that none is locked before what is below it.
func (b *batch) modes() {
	for i := len(b.work) - 1; i >= 0; i-- {
		w := b.work[i]
		if w.Want.Kind == event.Dir && w.result.Result == Done {
			// Set-group-id and sticky are the local user's choice for a directory.
			special := w.before.Mode & 0o7000
			if w.was() != event.Dir && !w.adopt {
				special = 0
			}
			if err := b.f.chmodDir(w.name, special|uint32(w.Want.Mode&modePerm)); err != nil {
				b.fail(w, err)
			}
		}
	}
}

// removeDir removes a directory if nothing is left in it.
func (b *batch) removeDir(w *work) {
	err := b.writable(dirOf(w.Path), func() error { return b.f.fs.Remove("delete dir", w.name, true) })
	if err == nil || Absent(err) || b.recase(w) {
		return
	}
	if names, lerr := b.f.fs.List("delete dir", w.name); lerr != nil || len(names) == 0 {
		b.fail(w, err)
		return
	}
	b.leftovers(w, w.before)
}

// replaceDir puts what is staged in the place of an empty directory.
func (b *batch) replaceDir(w *work) {
	names, err := b.f.fs.List("replace dir", w.name)
	if err != nil {
		b.fail(w, err)
		return
	}
	if len(names) > 0 {
		b.leftovers(w, w.before)
		return
	}
	b.replace(w)
	if !w.open() {
		return
	}
	w.out = Stat{}
	if err := b.f.fs.Remove("replace dir", w.temp, true); err != nil {
		b.putBack(w) // something was put into it at the last moment
	}
}

// leftovers says why a directory that should go has to stay.
func (b *batch) leftovers(w *work, st Stat) {
	l := left{b: b}
	l.look(w.Path)
	switch {
	case l.waits:
		w.result.Result, w.result.Dirty = Waits, l.unknown
		w.result.Problem = Problem{Path: w.Path, Code: CodeInTheWay, Message: "it still holds other entries", Hint: "it is tried again"}
	case w.deletes():
		w.result.Result, w.result.Stat = Kept, st
		w.result.Problem = l.problem(w.Path)
	default:
		b.block(w, l.problem(w.Path))
	}
}

// maxDirty bounds how many unknown entries one outcome names; scanning the directory finds the others.
const maxDirty = 100

// left is what stands in a directory that should go.
type left struct {
	b                *batch
	unknown          []event.Path // to be scanned
	waits            bool         // something has to be decided before the directory can go
	ignored, special int
}

func (l *left) problem(p event.Path) Problem {
	var what []string
	if l.ignored > 0 {
		what = append(what, "ignored files")
	}
	if l.special > 0 {
		what = append(what, "special files")
	}
	return Problem{
		Path: p, Code: CodeInTheWay,
		Message: "left because it holds " + strings.Join(what, " and "),
		Hint:    fmt.Sprintf("remove %s yourself if nothing in it is needed", p),
	}
}

// look sorts what is in dir, and reports whether something in it keeps it for good.
func (l *left) look(dir event.Path) (keeps bool) {
	names, err := l.b.f.fs.List("leftovers", string(dir))
	if err != nil {
		l.waits = true // unreadable means unknown
		return false
	}
	for _, n := range names {
		if l.one(dir.Join(n)) {
			keeps = true
		}
	}
	return keeps
}

func (l *left) one(p event.Path) (keeps bool) {
	st, err := l.b.f.fs.Stat("leftovers", string(p))
	if err != nil {
		l.waits = true
		return false
	}
	kind, ok := st.Kind()
	switch {
	case l.b.o.Ignored(p, kind == event.Dir):
		l.ignored++
		return true
	case !ok:
		l.special++
		return true
	case kind == event.Dir && l.look(p):
		return true
	}
	l.waits = true
	if !l.b.o.Known(p) && len(l.unknown) < maxDirty {
		l.unknown = append(l.unknown, p)
	}
	return false
}

// twin finds the path of this batch that is w's in other capitals, goes away, and is what stands there now.
func (b *batch) twin(w *work, now Stat) bool {
	for _, v := range b.work {
		if v != w && v.deletes() && v.Have.live() && v.Have.Stat.is(now) && strings.EqualFold(v.name, w.name) {
			return true
		}
	}
	return false
}

// recase gives a directory its new capitals, where the file system sees one directory in the two paths.
func (b *batch) recase(w *work) bool {
	for _, v := range b.work {
		if v == w || !v.adopt || !v.before.is(w.before) || !strings.EqualFold(v.name, w.name) {
			continue
		}
		if b.rename(w, "recase", w.name, w.temp, NoReplace) != nil {
			return false
		}
		if b.rename(v, "recase", w.temp, v.name, NoReplace) == nil {
			return true
		}
		if err := b.rename(w, "recase", w.temp, w.name, NoReplace); err != nil {
			b.f.log.Error("a directory waits in tmp", "path", w.name, "temp", w.temp, "err", err)
		}
		return false
	}
	return false
}

package folder

import (
	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// check makes sure that the path is as the index says, and otherwise gives w its outcome.
func (b *batch) check(w *work) bool {
	now, err := b.f.fs.Stat("check", w.name)
	if o, ok := b.opened[w.name]; ok && err == nil {
		now.Mode = o.mode
	}
	switch {
	case Absent(err):
		return b.checkAbsent(w)
	case err != nil:
		b.fail(w, err)
	case !w.Have.live():
		b.occupied(w, now)
	case b.same(now, w.Have.Stat):
		w.before = now
	default:
		b.changed(w)
	}
	return w.open()
}

func (b *batch) checkAbsent(w *work) bool {
	if w.deletes() {
		w.result.Result = Done
	} else if w.Have.live() {
		b.changed(w)
	}
	return w.open()
}

// occupied looks at something that stands where the index has nothing.
func (b *batch) occupied(w *work, now Stat) {
	kind, ok := now.Kind()
	switch {
	case !ok && !w.deletes():
		b.block(w, Problem{
			Path: w.Path, Code: CodeInTheWay, Message: "a device, FIFO or socket stands in its place",
			Hint: "move it away; it goes on by itself",
		})
	case !ok:
		w.result.Result = Done // it is none of the pool's business
	case kind == event.Dir && w.Want.Kind == event.Dir:
		w.adopt, w.before = true, now
	case kind == event.Dir:
		b.leftovers(w, now)
	case b.twin(w, now):
		w.twin = true // the file system sees one name where the pool has two; the other one goes away first
	default:
		b.changed(w)
	}
}

// commit gives everything its name: what is created or replaced first, then what is deleted. Only where something else
// takes a directory's place, what is below it goes first.
func (b *batch) commit() {
	var last []*work
	for i, w := range b.work {
		if w.deletes() || w.done {
			continue
		}
		if w.was() == event.Dir && w.Want.Kind != event.Dir {
			b.deleteBelow(i)
		}
		if w.twin {
			last = append(last, w)
			continue
		}
		b.commitOne(w)
	}
	b.deleteFrom(0, len(b.work))
	for _, w := range last {
		b.commitOne(w)
	}
}

// deleteBelow deletes what is below work[i].
func (b *batch) deleteBelow(i int) {
	end := i + 1
	for end < len(b.work) && b.work[end].Path.Under(b.work[i].Path) {
		end++
	}
	b.deleteFrom(i+1, end)
}

// deleteFrom deletes children before their directories.
func (b *batch) deleteFrom(start, end int) {
	for i := end - 1; i >= start; i-- {
		if w := b.work[i]; w.deletes() && !w.done {
			b.commitOne(w)
		}
	}
}

func (b *batch) commitOne(w *work) {
	w.done = true
	if !w.open() || !b.check(w) {
		return
	}
	switch {
	case w.deletes() && w.was() == event.Dir:
		b.removeDir(w)
	case w.deletes():
		b.moveAway(w)
	case w.Want.Kind == event.Dir:
		b.commitDir(w)
	case w.How == InPlace:
		b.inPlace(w)
	case !b.intact(w):
	case w.was() == event.Tomb:
		b.create(w)
	case w.was() == event.Dir:
		b.replaceDir(w)
	default:
		b.replace(w)
	}
	if w.open() {
		w.result.Result = Done
		b.dirs[dirOf(w.Path)] = struct{}{}
		if w.staged != (Stat{}) && w.How == Move {
			b.taken[w.staged.object()] = true
		}
	}
}

// intact makes sure that a file which is about to be taken over was not edited under its old name since it was staged.
func (b *batch) intact(w *work) bool {
	if w.How != Move {
		return true
	}
	if now, err := b.f.fs.Stat("intact", w.temp); err == nil && now.moved(w.staged) {
		return true
	}
	w.result.Result, w.result.Dirty = Lacking, []event.Path{w.From[0].Path}
	return false
}

// dirOf names the directory of p for the file system seam.
func dirOf(p event.Path) string {
	if d := p.Dir(); d != "" {
		return string(d)
	}
	return "."
}

// rename is a rename in w's directory, which is opened for it where its mode forbids writing.
func (b *batch) rename(w *work, l Label, from, to string, m RenameMode) error {
	return b.writable(dirOf(w.Path), func() error {
		if m == Exchange {
			return b.f.swap(l, from, to)
		}
		return b.f.fs.Rename(l, from, to, m)
	})
}

// create puts what is staged where nothing stands.
func (b *batch) create(w *work) {
	err := b.rename(w, "create", w.temp, w.name, NoReplace)
	if isExist(err) {
		b.changed(w)
	} else if err != nil {
		b.fail(w, err)
	}
	w.final = w.staged
}

// replace exchanges what is staged with what stands there, and looks at what came out.
func (b *batch) replace(w *work) {
	if err := b.rename(w, "exchange", w.temp, w.name, Exchange); err != nil {
		if Absent(err) {
			b.changed(w)
		} else {
			b.fail(w, err)
		}
		return
	}
	out, err := b.f.fs.Stat("came out", w.temp)
	if err != nil || !out.moved(w.before) {
		b.putBack(w)
		return
	}
	w.out, w.final = out, w.staged
}

// putBack undoes an exchange that brought out an edit nobody had seen.
func (b *batch) putBack(w *work) {
	if err := b.rename(w, "put back", w.temp, w.name, Exchange); err != nil {
		b.f.log.Error("an unseen edit stays in the versions", "path", w.name, "err", err)
		b.keepOut(w)
	}
	b.changed(w)
}

// keepOut brings what lies at w.temp to the versions at once.
func (b *batch) keepOut(w *work) {
	if out, err := b.f.fs.Stat("keep", w.temp); err == nil {
		w.out = out
		b.keep(w)
	}
}

// moveAway takes a file or link from its path, and looks at what it took.
func (b *batch) moveAway(w *work) {
	b.f.reader.forget(w.name)
	b.freeTemp(w)
	if err := b.rename(w, "delete", w.name, w.temp, NoReplace); err != nil {
		if Absent(err) {
			b.changed(w)
		} else {
			b.fail(w, err)
		}
		return
	}
	out, err := b.f.fs.Stat("came out", w.temp)
	if err == nil && out.moved(w.before) {
		w.out = out
		return
	}
	if err := b.rename(w, "put back", w.temp, w.name, NoReplace); err != nil {
		b.f.log.Error("an unseen edit stays in the versions", "path", w.name, "err", err)
		b.keepOut(w)
	}
	b.changed(w)
}

// freeTemp puts away what an earlier run left under w's temporary name.
func (b *batch) freeTemp(w *work) {
	if _, err := b.f.fs.Stat("stale temp", w.temp); err == nil {
		_ = b.f.park(w.temp, w.Path, chunker.ID{}) // then the temporary name is taken, which the next step says
	}
}

// swapSuffix ends the name under which swap puts the old object aside.
const swapSuffix = "-swap"

// swap exchanges two names; where the system cannot do that in one step, with a moment in which the second is missing.
func (f *Folder) swap(l Label, x, y string) error {
	f.reader.forget(y)
	err := f.fs.Rename(l, x, y, Exchange)
	if !unsupported(err) {
		return err
	}
	side := x + swapSuffix
	if err := f.fs.Rename(l, y, side, NoReplace); err != nil {
		return err
	}
	if err := f.fs.Rename(l, x, y, NoReplace); err != nil {
		if back := f.fs.Rename(l, side, y, NoReplace); back != nil {
			_ = f.park(side, "", chunker.ID{}) // it is logged, and tried again
		}
		return err
	}
	return f.fs.Rename(l, side, x, NoReplace)
}

package folder

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// syncers is how many files are synced at once; the file system's journal serves them together.
const syncers = 8

func unsupported(err error) bool { return errors.Is(err, ErrUnsupported) }

// inPlace gives what stands there its new mode and mtime. The check before it and the one after leave one hole: an edit
// between them whose mtime is overwritten. Freeze closes it where it can; elsewhere the outcome says racy.
func (b *batch) inPlace(w *work) {
	w.final = w.before
	if w.Want.Same(w.Have.Value) {
		return
	}
	if w.Want.Kind == event.Link {
		b.setLink(w)
		return
	}
	h, err := b.f.fs.Open("set attr", w.name, ReadOnly)
	if denied(err) {
		b.setUnread(w)
		return
	}
	if err != nil {
		b.fail(w, err)
		return
	}
	defer h.Close()
	b.setFile(w, h)
}

func (b *batch) setLink(w *work) {
	err := b.f.fs.Attr("set attr", w.name, Attr{SetMTime: true, MTime: w.Want.MTime})
	if err == nil {
		w.final, err = b.f.fs.Stat("set attr", w.name)
	}
	if err != nil {
		b.fail(w, err)
	}
}

// setUnread changes a file that we own and may not read.
func (b *batch) setUnread(w *work) {
	err := b.f.fs.Attr("set attr", w.name, fileAttr(w.Want))
	if err == nil {
		w.final, err = b.f.fs.Stat("set attr", w.name)
	}
	if err != nil {
		b.fail(w, err)
		return
	}
	b.judge(w, false)
}

func (b *batch) setFile(w *work, h File) {
	quiet := w.Want.MTime != w.before.MTime && h.Freeze()
	now, err := h.Stat()
	if err != nil {
		b.fail(w, err)
		return
	}
	if !b.same(now, w.Have.Stat) {
		b.changed(w)
		return
	}
	a := fileAttr(w.Want)
	a.SetMTime = w.Want.MTime != now.MTime
	if err := h.Attr(a); err != nil {
		b.fail(w, err)
		return
	}
	if w.final, err = h.Stat(); err == nil && len(b.work) < wide {
		err = h.Sync()
	}
	if err != nil {
		b.fail(w, err)
		return
	}
	b.judge(w, quiet)
}

// judge looks for an edit that came between.
func (b *batch) judge(w *work, quiet bool) {
	mtime := w.Want.MTime != w.before.MTime
	if !w.final.is(w.before) || w.final.Size != w.before.Size || !mtime && w.final.MTime != w.before.MTime {
		b.changed(w)
		return
	}
	b.touch(w.final)
	w.result.Racy = mtime && !quiet
}

// dispose brings what was replaced and deleted to the versions, but for files that live on under another name.
func (b *batch) dispose() {
	for _, w := range b.work {
		if w.How == Fetched && w.result.Result == Done {
			b.f.dropPartial(w.Want.Root)
		}
		switch {
		case w.out == (Stat{}) || w.result.Version != nil:
		case b.taken[w.out.object()]:
			if err := b.f.fs.Remove("taken", w.temp, false); err != nil {
				_ = b.f.park(w.temp, w.Path, w.holds()) // it is logged, and tried again
			}
		default:
			b.keep(w)
		}
	}
}

// keep moves what came out of w's path to the versions.
func (b *batch) keep(w *work) {
	v, err := b.f.toVersions(b.made, w.temp, w.Path, b.now)
	if err != nil {
		b.f.log.Error("a replaced file waits in tmp", "path", w.name, "err", err)
		_ = b.f.park(w.temp, w.Path, w.holds()) // it is logged, and tried again
		return
	}
	v.Root = w.holds()
	b.dirs[versionsDir+"/"+dirOf(v.Path)] = struct{}{}
	w.result.Version = &v
}

// holds is the content of what came out of w's path; zero where that is not what was known.
func (w *work) holds() chunker.ID {
	if !w.out.moved(w.before) {
		return chunker.ID{}
	}
	return w.Have.Value.Root
}

// syncContent makes everything that is staged durable.
func (b *batch) syncContent() {
	var todo []*work
	for _, w := range b.work {
		if w.open() && w.unsync {
			todo = append(todo, w)
		}
	}
	if len(todo) >= wide && b.f.fs.Sync("sync all", "") == nil {
		return
	}
	var g errgroup.Group
	g.SetLimit(syncers)
	for _, w := range todo {
		g.Go(func() error {
			if err := b.f.syncFile(w.temp); err != nil {
				b.stageFailed(w, err)
			}
			return nil
		})
	}
	_ = g.Wait() // no goroutine gives an error
}

func (f *Folder) syncFile(path string) error {
	h, err := f.fs.Open("sync", path, ReadOnly)
	if denied(err) {
		return f.fs.Sync("sync all", "") // its mode keeps us from reading what we own
	}
	if err != nil {
		return err
	}
	return errors.Join(h.Sync(), h.Close())
}

// finish looks at everything a last time: what the index will remember has to be what we put there.
func (b *batch) finish(ctx context.Context) {
	for _, w := range b.work {
		if w.result.Result != Done || w.deletes() {
			continue
		}
		b.unshare(ctx, w)
		now, err := b.f.fs.Stat("final", w.name)
		kind, _ := now.Kind()
		switch {
		case err != nil, kind != w.Want.Kind:
			b.changed(w)
		case kind != event.Dir && !now.moved(w.final):
			b.changed(w)
		default:
			w.result.Stat = now
		}
	}
}

// unshare gives a file its own bytes where the path that it was taken from did not go away after all: two names of one
// file would let an edit of one change the other.
func (b *batch) unshare(ctx context.Context, w *work) {
	if w.How != Move || w.final == (Stat{}) {
		return
	}
	src, err := b.f.fs.Stat("unshare", w.From[0].name())
	if err != nil || !src.is(w.final) {
		return
	}
	ok, err := b.copyFrom(ctx, w, w.name, w.final)
	if ok && err == nil {
		w.staged, err = b.f.fs.Stat("unshare", w.temp)
	}
	if ok && err == nil {
		err = b.f.syncFile(w.temp)
	}
	if ok && err == nil {
		err = b.rename(w, "unshare", w.temp, w.name, Exchange)
	}
	if !ok || err != nil {
		b.f.log.Warn("two paths share one file", "path", w.name, "source", w.From[0].Path, "err", err)
		return
	}
	w.final = w.staged
	_ = b.f.fs.Remove("unshare", w.temp, false) // the other name of the file at the source
}

// syncMoved makes files durable that were taken over. They were whole before and are whole now, so it can wait until here.
func (b *batch) syncMoved() {
	for _, w := range b.work {
		if w.How == Move && w.result.Result == Done {
			if err := b.f.syncFile(w.name); err != nil {
				b.fail(w, err)
			}
		}
	}
}

// syncNames makes the new names durable. What cannot be made so is not reported as done.
func (b *batch) syncNames() {
	if len(b.dirs) == 0 || (len(b.dirs) >= wide || len(b.work) >= wide) && b.f.fs.Sync("sync all", "") == nil {
		return
	}
	b.syncMoved()
	for d := range b.dirs {
		err := b.f.fs.Sync("sync dir", d)
		if err == nil || Absent(err) || denied(err) {
			continue // removed in this batch, or not ours to open: the next sync of the journal has it
		}
		for _, w := range b.work {
			if dirOf(w.Path) == d && w.result.Result == Done {
				b.fail(w, err)
			}
		}
	}
}

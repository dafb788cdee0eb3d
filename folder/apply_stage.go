package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// stagers is how many temporaries are built at once.
const stagers = 4

func isExist(err error) bool { return errors.Is(err, fs.ErrExist) }

func denied(err error) bool { return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) }

// stage builds what is to come of every step in tmp. After it no content is needed any more.
func (b *batch) stage(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(stagers)
	for _, w := range b.work {
		if !w.open() {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			b.stageOne(ctx, w)
			return ctx.Err()
		})
	}
	return g.Wait()
}

func (b *batch) stageOne(ctx context.Context, w *work) {
	if w.How == Staged {
		w.staged, _ = b.f.fs.Stat("staged", w.temp) // missing: found below
	}
	if !b.check(w) || w.deletes() || w.How == InPlace {
		return
	}
	var err error
	switch w.Want.Kind {
	case event.Link:
		err = b.stageLink(w)
	case event.Dir:
		if w.was() != event.Tomb {
			err = b.fresh(w.temp, func() error { return b.f.fs.Mkdir("stage dir", w.temp) })
		}
	case event.File:
		err = b.stageFile(ctx, w)
	}
	if err == nil && w.open() && (w.Want.Kind != event.Dir || w.was() != event.Tomb) {
		w.staged, err = b.f.fs.Stat("staged", w.temp)
	}
	if err != nil {
		b.stageFailed(w, err)
	}
}

// stageFailed never blames a parent: what is missing is a source or room in tmp.
func (b *batch) stageFailed(w *work, err error) {
	if Absent(err) {
		w.result.Result = Lacking
		return
	}
	b.block(w, ProblemFor(w.Path, err))
}

// fresh makes something at a name in tmp, over what an earlier attempt left there.
func (b *batch) fresh(temp string, build func() error) error { return b.f.fresh(temp, build) }

func (f *Folder) fresh(temp string, build func() error) error {
	err := build()
	if !isExist(err) {
		return err
	}
	if f.fs.Remove("stale temp", temp, true) == nil { // an empty directory
		return build()
	}
	if err := f.park(temp, "", chunker.ID{}); err != nil {
		return err // it may be the last copy of something
	}
	return build()
}

func (b *batch) stageLink(w *work) error {
	err := b.fresh(w.temp, func() error { return b.f.fs.Link("stage link", w.Want.Target, w.temp, Soft) })
	if err != nil {
		return err
	}
	return b.f.fs.Attr("stage link", w.temp, Attr{SetMTime: true, MTime: w.Want.MTime})
}

func (b *batch) stageFile(ctx context.Context, w *work) error {
	switch w.How {
	case None:
		return b.f.write(w.Path, w.Want, nil)
	case Staged:
		w.unsync = true
		return nil
	case Fetched:
		return b.stageFetched(ctx, w)
	case Move:
		if ok, err := b.stageMove(w); ok || err != nil {
			return err
		}
		return b.stageCopy(ctx, w)
	case Copy:
		return b.stageCopy(ctx, w)
	}
	w.result.Result = Lacking
	return nil
}

// stageMove gives the file that goes away in this batch a second name. Neither its old path nor the new one is without a
// whole file for a moment, whatever the order of the steps and wherever a crash cuts them.
func (b *batch) stageMove(w *work) (ok bool, err error) {
	if len(w.From) == 0 {
		return false, nil
	}
	src := w.From[0]
	if now, err := b.f.fs.Stat("stage move", src.name()); err != nil || !b.same(now, src.Stat) {
		return false, nil // it is dirty, and its own step says so
	}
	b.touch(src.Stat) // before the link changes its ctime under somebody's check
	err = b.fresh(w.temp, func() error { return b.f.fs.Link("stage move", src.name(), w.temp, Hard) })
	if err != nil {
		return false, hard(err)
	}
	now, err := b.f.fs.Stat("stage move", w.temp)
	if err != nil {
		return false, err
	}
	if !now.moved(src.Stat) {
		return false, b.f.fs.Remove("stage move", w.temp, false)
	}
	return true, nil
}

// hard tells a file system without hard links, where copying does instead, from real trouble.
func hard(err error) error {
	if denied(err) || Absent(err) || errors.Is(err, ErrUnsupported) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EMLINK) || errors.Is(err, syscall.EXDEV) {
		return nil
	}
	return err
}

// sameBytes reports whether now can hold what the index knows: mode and ctime do not matter to a copy, whose root is checked.
// Of a version the index knows no state.
func (b *batch) sameBytes(now, want Stat) bool {
	return want == Stat{} || now.is(want) && now.Size == want.Size && now.MTime == want.MTime
}

func (b *batch) touch(s Stat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.touched[s.object()] = true
}

// same reports whether now is what the index has, apart from the ctime where this batch changed that itself.
func (b *batch) same(now, want Stat) bool {
	if now.Same(want) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.touched[now.object()] && now.moved(want)
}

// stageCopy copies the first place that still holds the content, and proves that it does.
func (b *batch) stageCopy(ctx context.Context, w *work) error {
	w.unsync = true
	for _, src := range w.From {
		ok, err := b.copyFrom(ctx, w, src.name(), src.Stat)
		if ok || err != nil {
			return err
		}
	}
	w.result.Result = Lacking
	return nil
}

func (b *batch) copyFrom(ctx context.Context, w *work, name string, want Stat) (bool, error) {
	src, err := b.f.fs.Open("stage copy", name, ReadOnly)
	if err != nil {
		return false, nil //nolint:nilerr // the next place may do
	}
	defer src.Close()
	if now, err := src.Stat(); err != nil || !b.sameBytes(now, want) || now.Size != w.Want.Size {
		return false, nil //nolint:nilerr // the next place may do
	}
	if err := b.f.Room(w.Want.Size); err != nil {
		return false, err
	}
	dst, err := b.f.create("stage copy", w.temp)
	if err != nil {
		return false, err
	}
	ok, err := fillFrom(ctx, dst, src, w.Want)
	err = errors.Join(err, dst.Close())
	if !ok || err != nil {
		_ = b.f.fs.Remove("stage copy", w.temp, false) // CleanTmp finds it again
	}
	return ok && err == nil, err
}

// fillFrom copies src into dst and checks the root of what arrived.
func fillFrom(ctx context.Context, dst, src File, v event.Value) (bool, error) {
	if err := dst.CopyFrom(src, v.Size); err != nil {
		return false, err
	}
	ok, err := holds(ctx, dst, v)
	if !ok || err != nil {
		return false, err
	}
	return true, dst.Attr(fileAttr(v))
}

// holds reports whether a file has v's content.
func holds(ctx context.Context, f File, v event.Value) (bool, error) {
	m, err := chunker.Cut(ctx, f, v.Size, v.Class, 2)
	if err != nil {
		return false, err
	}
	return m.Root() == v.Root, nil
}

func fileAttr(v event.Value) Attr {
	return Attr{SetMode: true, Mode: uint32(v.Mode & modePerm), SetMTime: true, MTime: v.MTime}
}

func (f *Folder) create(l Label, temp string) (h File, err error) {
	err = f.fresh(temp, func() error { h, err = f.fs.Open(l, temp, CreateNew); return err })
	return h, err
}

// Stage writes the whole content of a small file into tmp, where Apply takes it for a step with How Staged. The chunks are the
// file's in order; their hashes are the caller's to have checked, their sizes are checked here. Nothing is synced yet. Several
// calls may run at once for different paths, also beside Apply. Call Recover before the first one.
func (f *Folder) Stage(p event.Path, v event.Value, chunks [][]byte) error {
	if _, err := event.ParsePath([]byte(p)); err != nil || reserved(p) {
		return fmt.Errorf("stage %q: %w", p, event.ErrPath)
	}
	var n int64
	for _, c := range chunks {
		n += int64(len(c))
	}
	if v.Kind != event.File || n != v.Size {
		return fmt.Errorf("stage %s: %d bytes for a %s of %d", p, n, v.Kind, v.Size)
	}
	if err := f.write(p, v, chunks); err != nil {
		return fmt.Errorf("stage %s: %w", p, err)
	}
	return nil
}

func (f *Folder) write(p event.Path, v event.Value, chunks [][]byte) error {
	if err := f.Room(v.Size); err != nil {
		return err
	}
	temp := tempName(p)
	h, err := f.create("stage", temp)
	if err != nil {
		return err
	}
	err = errors.Join(fill(h, v, chunks), h.Close())
	if err != nil {
		_ = f.fs.Remove("stage", temp, false) // the error that counts is the first; CleanTmp finds the rest
	}
	return err
}

func fill(h File, v event.Value, chunks [][]byte) error {
	off, holes := int64(0), false
	for _, c := range chunks {
		if holes = allZero(c); !holes {
			if _, err := h.WriteAt(c, off); err != nil {
				return err
			}
		}
		off += int64(len(c))
	}
	if holes {
		if err := h.Truncate(off); err != nil {
			return err
		}
	}
	return h.Attr(fileAttr(v))
}

// allZero reports whether a block is worth a hole.
func allZero(b []byte) bool {
	const least = 4096
	if len(b) < least || b[0] != 0 || b[len(b)/2] != 0 {
		return false
	}
	for len(b) > 0 && b[0] == 0 {
		n := min(len(b), len(zeros))
		if string(b[:n]) != string(zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

var zeros [4096]byte

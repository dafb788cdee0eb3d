package node

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

const (
	verifyRate = 200 << 20 // bytes per second, unless the request says other
	verifyTell = 500 * time.Millisecond
)

// Verify reads every file at and below a path and compares it with what the
// index says its content is. A file that differs although nothing about it
// changed is damaged: with Repair it is fetched again from members, and the
// damaged bytes go away. A file that somebody edited meanwhile is none of it.
// f gets each finding, the progress now and then, and the sum at the end.
func (n *Node) Verify(ctx context.Context, q VerifyRequest, f func(VerifyInfo) error) error {
	r, p, err := n.pickBelow(q.Pool, q.Path)
	if err != nil {
		return err
	}
	if why := r.haltedWhy(); why != "" {
		return trouble("halted", nil, "the pool is halted: %s", why)
	}
	if q.Rate <= 0 {
		q.Rate = verifyRate
	}
	v := verification{r: r, q: q, tell: f, limit: rate.NewLimiter(rate.Limit(q.Rate), 2*chunker.MaxChunk), buf: make([]byte, chunker.MaxChunk)}
	if err := v.collect(p); err != nil {
		return err
	}
	if len(v.paths) == 0 && p != "" {
		if known, err := r.isKnown(p); err == nil && !known {
			return noPath(p)
		}
	}
	return v.run(ctx)
}

// verification is one run of Verify.
type verification struct {
	r     *replica
	q     VerifyRequest
	tell  func(VerifyInfo) error
	limit *rate.Limiter
	buf   []byte
	paths []event.Path
	sum   VerifyInfo
	told  time.Time
}

// collect lists the files to be read.
func (v *verification) collect(p event.Path) error {
	return v.r.st.Index(func(at event.Path, h store.Have) bool {
		val := h.Known.Value
		if val.Kind == event.File && !isAside(h) && (p == "" || at == p || at.Under(p)) {
			v.paths = append(v.paths, at)
			v.sum.TotalFiles++
			v.sum.TotalBytes += val.Size
		}
		return true
	})
}

func (v *verification) run(ctx context.Context) error {
	for _, p := range v.paths {
		if err := v.progress(); err != nil {
			return err
		}
		if err := v.file(ctx, p); err != nil {
			return asTimeout(err, "verifying")
		}
	}
	done := v.sum
	done.Schema, done.State = SchemaVerify, "done"
	return v.tell(done)
}

func (v *verification) progress() error {
	if time.Since(v.told) < verifyTell {
		return nil
	}
	v.told = time.Now()
	s := v.sum
	s.Schema, s.State = SchemaVerify, "progress"
	return v.tell(s)
}

// file verifies one file, and repairs it where that is asked for.
func (v *verification) file(ctx context.Context, p event.Path) error {
	h, ok, err := v.r.st.Have(p)
	if err != nil || !ok || h.Known.Value.Kind != event.File {
		return err // it went meanwhile
	}
	v.sum.DoneFiles++
	state, message, err := v.look(ctx, p, h)
	if err != nil || state == "" {
		return err
	}
	if state == "corrupted" {
		v.sum.Corrupted++
		if v.q.Repair {
			state, message = v.repair(ctx, p, h)
		}
	}
	return v.find(p, state, message)
}

func (v *verification) find(p event.Path, state, message string) error {
	if state == "repaired" {
		v.sum.Repaired++
	}
	f := v.sum
	f.Schema, f.State, f.Message = SchemaVerify, state, message
	f.Path, f.PathB64 = jsonPath(p)
	return v.tell(f)
}

// look reads the file; state "" is well.
func (v *verification) look(ctx context.Context, p event.Path, h store.Have) (state, message string, err error) {
	m, ok := v.r.manifestOf(h.Known.Value)
	if !ok {
		v.sum.DoneBytes += h.Known.Value.Size
		return "unknown", "its list of chunks is not known here", nil
	}
	var off int64
	for _, c := range m.Chunks {
		if err := v.limit.WaitN(ctx, int(c.Size)); err != nil {
			return "", "", err
		}
		v.sum.DoneBytes += int64(c.Size)
		if err := v.progress(); err != nil {
			return "", "", err
		}
		err := v.r.fold.ReadChunk(folder.Place{Path: p}, folderStat(h.Stat), off, v.buf[:c.Size])
		switch {
		case errors.Is(err, folder.ErrChanged), errors.Is(err, folder.ErrMissing):
			v.sum.DoneBytes += m.Size - off - int64(c.Size)
			v.r.markDirty(p, false)
			return "", "", nil // somebody edits it: that is the scan's
		case err != nil:
			return "unreadable", err.Error(), nil
		case chunker.Sum(v.buf[:c.Size]) != c.ID:
			v.sum.DoneBytes += m.Size - off - int64(c.Size)
			if h.Racy {
				v.r.markDirty(p, false)
				return "", "", nil // an edit too quick for the clock of the disk
			}
			return "corrupted", "its content differs from what was written, though nothing about it changed", nil
		}
		off += int64(c.Size)
	}
	return "", "", nil
}

// repair brings the right content from members and puts it in place.
func (v *verification) repair(ctx context.Context, p event.Path, h store.Have) (state, message string) {
	r, value := v.r, h.Known.Value
	if why := r.notPaused(); why != nil {
		return "corrupted", why.Error()
	}
	m, err := r.manifestFor(ctx, p, value)
	if err != nil {
		return "corrupted", err.Error()
	}
	part, err := r.gather(ctx, p, value.Root, m)
	if err != nil {
		return "corrupted", err.Error()
	}
	if err := part.Finish(); err != nil {
		return "corrupted", err.Error()
	}
	view, err := r.st.View(p)
	if err != nil || !view.Value.SameContent(value) {
		return "corrupted", "it is being replaced by a newer version"
	}
	step := folder.Step{
		Path: p, Want: view.Value, How: folder.Fetched,
		Have: folder.Have{Value: value, Stat: folderStat(h.Stat), Exists: true},
	}
	done, _, err := r.apply(ctx, []folder.Step{step}, map[event.Path]event.View{p: view}, manifests{value.Root: m})
	r.setApplying(false)
	switch {
	case err != nil:
		return "corrupted", err.Error()
	case done == 0:
		return "corrupted", "it could not be replaced: see meerkat status"
	}
	if err := r.dropDamaged(value.Root); err != nil {
		r.log.Warn("drop damaged versions", "path", p, "err", err)
	}
	return "repaired", ""
}

// dropDamaged makes the store forget kept versions whose content is not root:
// the damaged file that was replaced has become one. The bytes stay until they
// are pruned.
func (r *replica) dropDamaged(root chunker.ID) error {
	m, ok, err := r.st.Manifest(root)
	if err != nil || !ok {
		return err
	}
	copies, err := r.st.Copies(root, 64)
	if err != nil {
		return err
	}
	var tx store.Tx
	buf := make([]byte, chunker.MaxChunk)
	for _, c := range copies {
		if c.Version && !r.sound(c, m, buf) {
			tx.DropVersions = append(tx.DropVersions, store.Version{Path: c.Path, Root: root})
		}
	}
	if len(tx.DropVersions) == 0 {
		return nil
	}
	_, err = r.st.Commit(tx)
	return err
}

func (r *replica) sound(at store.Place, m chunker.Manifest, buf []byte) bool {
	for _, c := range m.Chunks {
		at.Size = int(c.Size)
		if _, err := r.readPlace(c.ID, at, buf, true); err != nil {
			return false
		}
		at.Offset += int64(c.Size)
	}
	return true
}

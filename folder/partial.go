package folder

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/bwaklog/meerkat/chunker"
)

// What can go wrong with a Partial besides the disk.
var (
	ErrIncomplete = errors.New("chunks are missing")
	ErrBusy       = errors.New("the file is being fetched already")
	ErrChunk      = errors.New("not the chunk that belongs there")
)

// flushEvery is how much may be written before the disk is asked to begin with it, so that the last sync is short.
const flushEvery = 16 << 20

// Partial is a file being fetched, in .meerkat/tmp under the hex of its root. Whatever was written outlives the process:
// opening it again finds out by hashing what is there. Its methods may be used by many goroutines at once.
type Partial struct {
	f    *Folder
	root chunker.ID
	m    chunker.Manifest
	file File
	offs []int64

	mu        sync.Mutex
	have      []bool
	left      int
	unflushed int64
	torn      map[int]bool // chunks whose place holds other bytes: no hole may stand for them
	closed    bool
}

func partialName(root chunker.ID) string { return tmpDir + "/" + hex.EncodeToString(root[:]) }

// OpenPartial begins to fetch the file with this root and manifest, or goes on with it. It takes the space at once, so that a
// full disk shows here (see ProblemFor). ErrBusy while another Partial of the root is open; call Finish, Close or Drop.
func (f *Folder) OpenPartial(ctx context.Context, root chunker.ID, m chunker.Manifest) (*Partial, error) {
	if !f.partials.take(root) {
		return nil, fmt.Errorf("fetch %s: %w", root, ErrBusy)
	}
	p := &Partial{f: f, root: root, m: m, have: make([]bool, len(m.Chunks)), left: len(m.Chunks), torn: make(map[int]bool)}
	err := p.layout()
	if err == nil {
		err = p.open(ctx)
	}
	if err != nil {
		f.partials.give(root)
		return nil, fmt.Errorf("fetch %s: %w", root, err)
	}
	return p, nil
}

// roots are the partials that are open. The zero value is ready.
type roots struct {
	mu  sync.Mutex
	set map[chunker.ID]bool
}

func (r *roots) take(id chunker.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set[id] {
		return false
	}
	if r.set == nil {
		r.set = make(map[chunker.ID]bool)
	}
	r.set[id] = true
	return true
}

func (r *roots) give(id chunker.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.set, id)
}

func (p *Partial) markLocked(i int) {
	if !p.have[i] {
		p.have[i] = true
		p.left--
	}
}

func (p *Partial) missingBytes() (n int64) {
	for _, i := range p.Missing() {
		n += int64(p.m.Chunks[i].Size)
	}
	return n
}

// Missing gives the numbers of the chunks that are not here yet, in order.
func (p *Partial) Missing() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]int, 0, p.left)
	for i, ok := range p.have {
		if !ok {
			out = append(out, i)
		}
	}
	return out
}

// Left is how many chunks are missing.
func (p *Partial) Left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

// Have tells which chunks are here: bit i%8 of byte i/8.
func (p *Partial) Have() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	bits := make([]byte, (len(p.have)+7)/8)
	for i, ok := range p.have {
		if ok {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits
}

// Manifest is what is being fetched. Its chunks may not be changed.
func (p *Partial) Manifest() chunker.Manifest { return p.m }

// WriteChunk writes chunk i. The caller has checked its hash; the size is checked here. b is not kept.
func (p *Partial) WriteChunk(i int, b []byte) error {
	if i < 0 || i >= len(p.m.Chunks) || len(b) != int(p.m.Chunks[i].Size) {
		return fmt.Errorf("write chunk %d of %s: %w", i, p.root, ErrChunk)
	}
	if p.torn[i] || !allZero(b) {
		if _, err := p.file.WriteAt(b, p.offs[i]); err != nil {
			return fmt.Errorf("write chunk %d of %s: %w", i, p.root, err)
		}
	}
	p.mu.Lock()
	p.markLocked(i)
	p.unflushed += int64(len(b))
	flush := p.unflushed >= flushEvery
	if flush {
		p.unflushed = 0
	}
	p.mu.Unlock()
	if flush {
		p.file.Flush(0, 0)
	}
	return nil
}

// Seed writes chunk i if b is it, and reports whether it was: for bytes found on this disk that nobody has checked.
func (p *Partial) Seed(i int, b []byte) (bool, error) {
	if i < 0 || i >= len(p.m.Chunks) || len(b) != int(p.m.Chunks[i].Size) || chunker.Sum(b) != p.m.Chunks[i].ID {
		return false, nil
	}
	return true, p.WriteChunk(i, b)
}

// ReadChunk fills dst, which has the chunk's size, with chunk i: for serving what is here of an unfinished file. ErrMissing
// when it is not here. The hash is the caller's to check.
func (p *Partial) ReadChunk(i int, dst []byte) error {
	if i < 0 || i >= len(p.m.Chunks) || len(dst) != int(p.m.Chunks[i].Size) {
		return fmt.Errorf("read chunk %d of %s: %w", i, p.root, ErrChunk)
	}
	p.mu.Lock()
	ok := p.have[i] && !p.closed
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("read chunk %d of %s: %w", i, p.root, ErrMissing)
	}
	if _, err := p.file.ReadAt(dst, p.offs[i]); err != nil {
		return fmt.Errorf("read chunk %d of %s: %w: %w", i, p.root, ErrUnreadable, err)
	}
	return nil
}

// Finish makes the whole file durable and closes it; a step with How Fetched then takes it. ErrIncomplete while chunks are
// missing: the Partial stays open.
func (p *Partial) Finish() error {
	if n := p.Left(); n > 0 {
		return fmt.Errorf("finish %s: %d %w", p.root, n, ErrIncomplete)
	}
	err := p.file.Truncate(p.m.Size)
	if err == nil {
		err = p.file.Sync()
	}
	if err = errors.Join(err, p.Close()); err != nil {
		return fmt.Errorf("finish %s: %w", p.root, err)
	}
	return nil
}

// Close stops fetching and keeps what is there for the next OpenPartial. It may be called twice; no other call may be under way.
func (p *Partial) Close() error {
	p.mu.Lock()
	was := p.closed
	p.closed = true
	p.mu.Unlock()
	if was {
		return nil
	}
	p.f.partials.give(p.root)
	return p.file.Close()
}

// Drop stops fetching and removes what was there.
func (p *Partial) Drop() error {
	err := p.Close()
	return errors.Join(err, ignoreAbsent(p.f.fs.Remove("partial", partialName(p.root), false)))
}

// dropPartial forgets a file that has got its place.
func (f *Folder) dropPartial(root chunker.ID) {
	if err := f.fs.Remove("partial", partialName(root), false); err != nil && !Absent(err) {
		f.log.Warn("a fetched file stays in tmp", "root", root, "err", err)
	}
}

// stageFetched takes a finished Partial. Its own name stays until the step is done, so that nothing has to be fetched again.
func (b *batch) stageFetched(ctx context.Context, w *work) error {
	w.unsync = true
	name := partialName(w.Want.Root)
	st, err := b.f.fs.Stat("stage fetched", name)
	if err != nil {
		return err
	}
	if st.Size != w.Want.Size {
		w.result.Result = Lacking
		return nil
	}
	if b.fetched.take(w.Want.Root) {
		err = b.fresh(w.temp, func() error { return b.f.fs.Link("stage fetched", name, w.temp, Hard) })
		if err == nil {
			return b.f.fs.Attr("stage fetched", w.temp, fileAttr(w.Want))
		}
		if hard(err) != nil {
			return err
		}
	}
	// Another path of this batch has it, and is giving it its mode and mtime; or there are no hard links here.
	ok, err := b.copyFrom(ctx, w, name, Stat{})
	if !ok && err == nil {
		w.result.Result = Lacking
	}
	return err
}

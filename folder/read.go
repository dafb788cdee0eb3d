package folder

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bwaklog/meerkat/event"
)

// What ReadChunk can answer besides bytes.
var (
	ErrMissing    = errors.New("no such file")
	ErrChanged    = errors.New("the file is not as the index knows it")
	ErrUnreadable = errors.New("the file cannot be read")
)

// Place names a file that holds content: one of the tree, or a version that was kept.
type Place struct {
	Path    event.Path // Version: relative to .meerkat/versions
	Version bool
}

// name gives the path below the root.
func (p Place) name() string {
	if p.Version {
		return versionsDir + "/" + string(p.Path)
	}
	return string(p.Path)
}

// maxOpen bounds the descriptors that are kept for files that are read again and again.
const maxOpen = 32

// reader keeps a few files open. The zero value is ready.
type reader struct {
	mu   sync.Mutex
	lru  list.List // of *handle, the last used in front
	by   map[string]*list.Element
	gone bool
}

// handle is an open file that several calls may be reading. It is closed when nobody holds it.
type handle struct {
	name string
	file File
	stat Stat
	uses int // guarded by reader.mu; one is the cache's own
}

// ReadChunk fills dst from offset off of a file. With a want that is not zero the file must be in that very state, before and
// after reading, else ErrChanged; so does a file that ends before dst is full. ErrMissing: no such file. ErrUnreadable:
// everything else. Links are never followed. The bytes are not hashed: that is the caller's.
func (f *Folder) ReadChunk(p Place, want Stat, off int64, dst []byte) error {
	h, err := f.reader.get(f.fs, p.name(), want)
	if err != nil {
		return readError(p, err)
	}
	err = h.read(want, off, dst)
	f.reader.put(h, err != nil)
	return readError(p, err)
}

func readError(p Place, err error) error {
	switch {
	case err == nil:
		return nil
	case Absent(err):
		err = fmt.Errorf("%w: %w", ErrMissing, err)
	case errors.Is(err, errNotRegular), errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	case !errors.Is(err, ErrChanged):
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return fmt.Errorf("read %s: %w", p.name(), err)
}

func (h *handle) read(want Stat, off int64, dst []byte) error {
	if _, err := h.file.ReadAt(dst, off); err != nil {
		return err
	}
	if want == (Stat{}) {
		return nil
	}
	now, err := h.file.Stat()
	if err != nil {
		return err
	}
	if now != want {
		return ErrChanged
	}
	return nil
}

// get gives an open file in the state want, from the cache where the name still leads to the file that lies there.
func (r *reader) get(fs FS, name string, want Stat) (*handle, error) {
	if h := r.cached(name); h != nil {
		now, err := fs.Stat("read", name)
		if err == nil && now.is(h.stat) && (want == Stat{} || now == want) {
			return h, nil
		}
		r.put(h, true)
	}
	return r.open(fs, name, want)
}

func (r *reader) cached(name string) *handle {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.by[name]
	if !ok {
		return nil
	}
	r.lru.MoveToFront(e)
	h := e.Value.(*handle)
	h.uses++
	return h
}

func (r *reader) open(fs FS, name string, want Stat) (*handle, error) {
	file, err := fs.Open("read", name, ReadOnly)
	if err != nil {
		return nil, err
	}
	st, err := file.Stat()
	if err == nil && want != (Stat{}) && st != want {
		err = ErrChanged
	}
	if err != nil {
		_ = file.Close() // only read
		return nil, err
	}
	h := &handle{name: name, file: file, stat: st, uses: 1}
	r.keep(h)
	return h, nil
}

// keep puts h into the cache, and drops what was used longest ago.
func (r *reader) keep(h *handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone || r.by[h.name] != nil {
		return
	}
	if r.by == nil {
		r.by = make(map[string]*list.Element)
	}
	h.uses++
	r.by[h.name] = r.lru.PushFront(h)
	if r.lru.Len() > maxOpen {
		r.dropLocked(r.lru.Back())
	}
}

// put gives h back; with drop it leaves the cache too.
func (r *reader) put(h *handle, drop bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.by[h.name]; drop && e != nil && e.Value == h {
		r.dropLocked(e)
	}
	h.releaseLocked()
}

func (r *reader) dropLocked(e *list.Element) {
	h := r.lru.Remove(e).(*handle)
	delete(r.by, h.name)
	h.releaseLocked()
}

func (h *handle) releaseLocked() {
	if h.uses--; h.uses == 0 {
		_ = h.file.Close() // only read
	}
}

// forget closes a file that is about to go away, so that its space is not held.
func (r *reader) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.by[name]; e != nil {
		r.dropLocked(e)
	}
}

func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	for r.lru.Len() > 0 {
		r.dropLocked(r.lru.Back())
	}
}

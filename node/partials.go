package node

import (
	"context"
	"sync"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/folder"
)

// openFile is a file that is being fetched, and where its chunks go: what has
// come in is served to others at once.
type openFile struct {
	*folder.Partial
	at map[chunker.ID]int

	use  sync.RWMutex // held for reading while a chunk is served, for writing while the file is closed
	over bool
}

// serve reads chunk i for somebody else, unless the file is closed.
func (o *openFile) serve(i int, dst []byte) error {
	o.use.RLock()
	defer o.use.RUnlock()
	if o.over {
		return folder.ErrMissing
	}
	return o.ReadChunk(i, dst)
}

// Finish makes the whole file durable; nothing is served from it any more.
func (o *openFile) Finish() error {
	o.use.Lock()
	defer o.use.Unlock()
	o.over = true
	return o.Partial.Finish()
}

// Close keeps what is there for the next attempt.
func (o *openFile) Close() error {
	o.use.Lock()
	defer o.use.Unlock()
	o.over = true
	return o.Partial.Close()
}

func (r *replica) openPartial(ctx context.Context, root chunker.ID, m chunker.Manifest) (*openFile, error) {
	p, err := r.fold.OpenPartial(ctx, root, m)
	if err != nil {
		return nil, err
	}
	o := &openFile{Partial: p, at: make(map[chunker.ID]int, len(m.Chunks))}
	for i, c := range m.Chunks {
		o.at[c.ID] = i
	}
	r.mu.Lock()
	r.partials[root] = o
	r.mu.Unlock()
	return o, nil
}

// closePartial stops fetching a file; what came in stays on the disk.
func (r *replica) closePartial(root chunker.ID) {
	r.mu.Lock()
	o := r.partials[root]
	delete(r.partials, root)
	r.mu.Unlock()
	if o == nil {
		return
	}
	r.keepShare(root, o)
	if err := o.Close(); err != nil {
		r.log.Debug("close partial", "root", root, "err", err)
	}
}

// readPartial serves a chunk of a file that is still being fetched.
func (r *replica) readPartial(id chunker.ID, dst []byte, hash bool) (int, bool) {
	r.mu.Lock()
	var from *openFile
	var index int
	for _, o := range r.partials {
		if i, ok := o.at[id]; ok {
			from, index = o, i
			break
		}
	}
	r.mu.Unlock()
	if from == nil {
		return 0, false
	}
	n := int(from.Manifest().Chunks[index].Size)
	if n > len(dst) || from.serve(index, dst[:n]) != nil {
		return 0, false
	}
	return n, !hash || chunker.Sum(dst[:n]) == id
}

func (r *replica) partial(root chunker.ID) *folder.Partial {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.partials[root]; o != nil {
		return o.Partial
	}
	return nil
}

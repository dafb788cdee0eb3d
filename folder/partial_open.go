package folder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/chunker"
)

// layout computes where each chunk lies, and checks that they make up the size.
func (p *Partial) layout() error {
	p.offs = make([]int64, len(p.m.Chunks)+1)
	for i, c := range p.m.Chunks {
		p.offs[i+1] = p.offs[i] + int64(c.Size)
	}
	if got := p.offs[len(p.m.Chunks)]; got != p.m.Size {
		return fmt.Errorf("the manifest's chunks are %d bytes, the file %d", got, p.m.Size)
	}
	return nil
}

func (p *Partial) open(ctx context.Context) error {
	resumed, err := p.openFile()
	if err != nil {
		return err
	}
	if resumed {
		err = p.verify(ctx)
	}
	sparse := p.holes()
	if err == nil {
		err = p.f.Room(p.missingBytes())
	}
	if err == nil && !sparse && p.m.Size > 0 {
		if err = p.file.Reserve(p.m.Size); unsupported(err) {
			err = nil
		}
	}
	if err != nil {
		_ = p.file.Close() // what it holds is verified when it is opened again
	}
	return err
}

// openFile opens what an earlier fetch left, or begins anew.
func (p *Partial) openFile() (resumed bool, err error) {
	name := partialName(p.root)
	p.file, err = p.f.fs.Open("partial", name, ReadWrite)
	if denied(err) { // it had got its final mode
		if err = p.f.fs.Attr("partial", name, Attr{SetMode: true, Mode: 0o600}); err == nil {
			p.file, err = p.f.fs.Open("partial", name, ReadWrite)
		}
	}
	if err == nil && shared(p.file) {
		// A crash left it as another name of a file that has arrived: it must never be written to.
		_ = p.file.Close() // not written
		if err := p.f.fs.Remove("partial", name, false); err != nil {
			return false, err
		}
		p.file, err = p.f.fs.Open("partial", name, CreateNew)
		return false, err
	}
	if Absent(err) {
		p.file, err = p.f.fs.Open("partial", name, CreateNew)
		return false, err
	}
	return err == nil, err
}

// shared reports whether a file has more names than one, where the system tells.
func shared(f File) bool {
	n, err := f.Links()
	return err == nil && n > 1
}

// verify hashes the chunks whose place holds data, and counts those that are right.
func (p *Partial) verify(ctx context.Context) error {
	st, err := p.file.Stat()
	if err != nil {
		return err
	}
	if st.Size > p.m.Size {
		if err := p.file.Truncate(p.m.Size); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(stagers)
	last := -1
	err = eachData(p.file, min(st.Size, p.m.Size), func(start, end int64) error {
		after, _ := slices.BinarySearch(p.offs, start+1)
		for i := after - 1; i < len(p.m.Chunks) && p.offs[i] < end; i++ {
			if i <= last {
				continue
			}
			last = i
			g.Go(func() error { return p.verifyChunk(ctx, i) })
		}
		return ctx.Err()
	})
	return errors.Join(err, g.Wait())
}

func (p *Partial) verifyChunk(ctx context.Context, i int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	buf := chunkBuffer(int(p.m.Chunks[i].Size))
	defer chunkBuffers.Put(buf)
	b := (*buf)[:p.m.Chunks[i].Size]
	_, err := p.file.ReadAt(b, p.offs[i])
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || chunker.Sum(b) != p.m.Chunks[i].ID {
		p.torn[i] = true // unreadable is as good as wrong: it is written again
		return nil
	}
	p.markLocked(i)
	return nil
}

var chunkBuffers sync.Pool

// chunkBuffer gives a buffer of at least n bytes.
func chunkBuffer(n int) *[]byte {
	if b, ok := chunkBuffers.Get().(*[]byte); ok && cap(*b) >= n {
		*b = (*b)[:cap(*b)]
		return b
	}
	b := make([]byte, n)
	return &b
}

// holes marks the chunks of long runs of zeros, which are there without being written, and reports whether there are any.
func (p *Partial) holes() bool {
	_, _, longest := p.m.Class.Sizes()
	var zero chunker.ID
	found := false
	for i, c := range p.m.Chunks {
		if int(c.Size) != longest || p.torn[i] {
			continue
		}
		if zero.IsZero() {
			zero = chunker.Sum(make([]byte, longest))
		}
		if c.ID == zero {
			found = true
			p.mu.Lock()
			p.markLocked(i)
			p.mu.Unlock()
		}
	}
	return found
}

package chunker

import (
	"context"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	readBytes = 512 << 10 // read at once
	spanLeast = 8 << 20   // shortest range worth a worker of its own; a multiple of every max
	spanMost  = 64 << 20  // longest: bounds what a lone straggler costs
	spansEach = 4         // ranges per worker, so that the last ones finish together
)

// Cut reads size bytes of r, cuts them by c and names the chunks. The result depends on nothing else. Big inputs are
// read by up to workers goroutines at once (0: one for each CPU), all gone when Cut returns; r must bear that. Inputs
// below 16 MiB are cut on the calling goroutine with a buffer no bigger than they are. Buffers are pooled, so each worker holds
// one biggest chunk and 256 KiB. r ending early gives an error that wraps [io.ErrUnexpectedEOF]; what r holds beyond
// size is not looked at. An error of r or ctx is wrapped.
func Cut(ctx context.Context, r io.ReaderAt, size int64, c Class, workers int) (Manifest, error) {
	if size < 0 || size > MaxFile || !c.Valid() {
		return Manifest{}, fmt.Errorf("cut %d bytes as %v: out of range", size, c)
	}
	f := file{r: r, size: size, rule: ruleOf(c)}
	chunks, err := f.cut(ctx, workers)
	if err != nil {
		return Manifest{}, err
	}
	return Manifest{Class: c, Size: size, Chunks: chunks}, nil
}

// file is one input and the rule to cut it by.
type file struct {
	r    io.ReaderAt
	size int64
	rule rule
}

func (f *file) cut(ctx context.Context, workers int) ([]Chunk, error) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if workers == 1 || f.size < 2*spanLeast {
		s := span{to: f.size}
		err := s.cut(ctx, f)
		return s.chunks, err
	}
	spans := f.spans(workers)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range spans {
		g.Go(func() error { return spans[i].cut(gctx, f) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return f.join(ctx, spans)
}

// span is a range of the file, cut as if a chunk began at from. Its last chunk may reach beyond to.
type span struct {
	from, to int64
	chunks   []Chunk
	end      int64 // where the last chunk ends
}

func (f *file) spans(workers int) []span {
	step := f.size / int64(workers*spansEach)
	step = min(max(step-step%spanLeast, spanLeast), spanMost)
	spans := make([]span, 0, f.size/step+1)
	for at := int64(0); at < f.size; at += step {
		spans = append(spans, span{from: at, to: min(at+step, f.size)})
	}
	return spans
}

func (s *span) cut(ctx context.Context, f *file) error {
	if s.from == s.to {
		return nil // an empty file
	}
	s.chunks = make([]Chunk, 0, (s.to-s.from)/int64(f.rule.avg)+1)
	w := f.window(s.from)
	defer w.free()
	for w.at < s.to {
		c, err := w.next(ctx)
		if err != nil {
			return err
		}
		s.chunks = append(s.chunks, c)
	}
	s.end = w.at
	return nil
}

// join makes of the spans what one pass over the file would have cut. A cut depends on where the chunk began and on
// the bytes after that, so as soon as a true chunk ends where some chunk of the next span does, all that follows is the same.
// Up to there (a chunk or two, unless the bytes are periodic) the file is cut again.
func (f *file) join(ctx context.Context, spans []span) ([]Chunk, error) {
	all := make([]Chunk, 0, f.size/int64(f.rule.avg)+1)
	all = append(all, spans[0].chunks...)
	pos := spans[0].end
	for _, s := range spans[1:] {
		fix, rest, err := f.align(ctx, s, pos)
		if err != nil {
			return nil, err
		}
		all = append(append(all, fix...), rest...)
		pos = end(pos, fix, rest)
	}
	return all, nil
}

// align cuts the file from pos on until it meets a cut of s, or the end of s: fix is what was cut, rest what of s
// goes on from there.
func (f *file) align(ctx context.Context, s span, pos int64) (fix, rest []Chunk, err error) {
	at, rest := s.from, s.chunks
	w := f.window(pos)
	defer w.free()
	for {
		for at < w.at && len(rest) > 0 {
			at, rest = at+int64(rest[0].Size), rest[1:]
		}
		if at == w.at || w.at >= s.to {
			break
		}
		c, err := w.next(ctx)
		if err != nil {
			return nil, nil, err
		}
		fix = append(fix, c)
	}
	if at != w.at {
		rest = nil // the end of s came first
	}
	return fix, rest, nil
}

func end(at int64, parts ...[]Chunk) int64 {
	for _, p := range parts {
		for _, c := range p {
			at += int64(c.Size)
		}
	}
	return at
}

// window is the part of a file that is in memory: buf[lo:hi] begins at offset at.
type window struct {
	f      *file
	at     int64
	buf    []byte
	lo, hi int
}

// window begins at offset at. Nothing is read, nor a buffer taken, before the first next.
func (f *file) window(at int64) *window { return &window{f: f, at: at} }

func (w *window) free() {
	if w.buf != nil {
		putBuffer(w.buf)
	}
}

// next cuts and names one chunk, which must exist: w.at < size. It reads no further than it must, so that the bytes
// are still in the processor's cache when they are hashed.
func (w *window) next(ctx context.Context) (Chunk, error) {
	for seen := 0; ; {
		n, found := w.f.rule.next(w.buf[w.lo:w.hi], seen)
		if found || w.at+int64(n) == w.f.size {
			return w.take(n), nil
		}
		seen = n
		if err := w.fill(ctx); err != nil {
			return Chunk{}, err
		}
	}
}

func (w *window) take(n int) Chunk {
	b := w.buf[w.lo : w.lo+n]
	w.lo, w.at = w.lo+n, w.at+int64(n)
	return Chunk{ID: Sum(b), Size: uint32(n)}
}

// fill reads some more behind what there is, which is less than a chunk.
func (w *window) fill(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cut at %d: %w", w.at, err)
	}
	if w.buf == nil {
		w.buf = getBuffer(int(min(w.f.size-w.at, int64(w.f.rule.max+readBytes))))
	}
	from := w.at + int64(w.hi-w.lo)
	n := int(min(readBytes, w.f.size-from))
	if w.hi+n > len(w.buf) {
		w.lo, w.hi = 0, copy(w.buf, w.buf[w.lo:w.hi])
	}
	got, err := w.f.r.ReadAt(w.buf[w.hi:w.hi+n], from)
	w.hi += got
	if got == n {
		return nil // an io.EOF beside the last bytes is no error
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read at %d: %w", from+int64(got), err)
}

// buffers are kept by the power of two that is their capacity.
var buffers [bits.UintSize]sync.Pool

// getBuffer returns n > 0 bytes of any content.
func getBuffer(n int) []byte {
	k := bits.Len(uint(n - 1))
	if b, ok := buffers[k].Get().(*[]byte); ok {
		return (*b)[:n]
	}
	return make([]byte, n, 1<<k)
}

func putBuffer(b []byte) { buffers[bits.Len(uint(cap(b)-1))].Put(&b) }

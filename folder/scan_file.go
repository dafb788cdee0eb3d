package folder

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// job is a file to be read.
type job struct {
	path  event.Path
	stat  Stat
	known *Known
}

const bigFile = 8 << 20 // from here on a file is cut by all workers at once

// pauses lie between the attempts to read a file that changes meanwhile.
var pauses = [...]time.Duration{10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond}

func (p *pass) hand(j job) error {
	if j.known != nil {
		k := *j.known
		j.known = &k
	}
	select {
	case p.jobs <- j:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

func (p *pass) hash() error {
	for j := range p.jobs {
		if err := p.file(j); err != nil {
			return err
		}
	}
	return nil
}

// errMoving says that a file changed between the two looks at it.
var errMoving = errors.New("changed while it was read")

// file reads a file until it stays the same meanwhile, or patience ends.
func (p *pass) file(j job) error {
	if seen, ok := p.twin(j); ok {
		return p.sendValue(seen, j.known)
	}
	for try := 0; ; try++ {
		seen, err := p.read(j)
		switch {
		case err == nil:
			return p.sendValue(seen, j.known)
		case p.ctx.Err() != nil:
			return p.ctx.Err()
		case errors.Is(err, errNotRegular), Absent(err):
			p.retry(j.path)
			return nil
		case !errors.Is(err, errMoving) && !errors.Is(err, io.ErrUnexpectedEOF):
			p.trouble(j.path, err)
			return nil
		case try == len(pauses):
			p.problem(j.path, CodeUnstable, "it keeps changing while it is read", "it is looked at again")
			return nil
		}
		if err := pause(p.ctx, pauses[try]); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read cuts and hashes a file between two equal looks at it.
func (p *pass) read(j job) (Seen, error) {
	f, err := p.t.open(j.path)
	if errors.Is(err, syscall.ENXIO) { // a socket took its place
		return Seen{}, errNotRegular
	}
	if err != nil {
		return Seen{}, err
	}
	defer f.close()
	before, err := f.stat()
	if err != nil {
		return Seen{}, err
	}
	if before.Mode&modeType != modeFile {
		return Seen{}, errNotRegular
	}
	c := &counted{ReaderAt: f, sum: &p.bytes}
	defer c.settle(0)
	m, err := p.cut(c, before.Size, p.class(j, before.Size))
	if err != nil {
		return Seen{}, err
	}
	after, err := f.stat()
	if err != nil {
		return Seen{}, err
	}
	if after != before {
		return Seen{}, errMoving
	}
	p.hashed.Add(1)
	c.settle(before.Size)
	return Seen{Path: j.path, Value: fileValue(m, after), Manifest: m, Stat: after, Racy: young(after, time.Now())}, nil
}

// counted adds what is read of a file to a sum while it is read, so that a file of hours shows that it moves.
type counted struct {
	io.ReaderAt
	sum *atomic.Int64
	own atomic.Int64 // of this file, in sum
	end bool
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(b, off)
	c.own.Add(int64(n))
	c.sum.Add(int64(n))
	return n, err
}

// settle puts size in the place of what was counted, once: a file may be read in part, or in parts that overlap.
func (c *counted) settle(size int64) {
	if !c.end {
		c.end = true
		c.sum.Add(size - c.own.Load())
	}
}

// cut gives big files all workers, one file at a time, so that memory and threads do not multiply.
func (p *pass) cut(f io.ReaderAt, size int64, c chunker.Class) (chunker.Manifest, error) {
	if size < bigFile {
		return chunker.Cut(p.ctx, f, size, c, 1)
	}
	select {
	case p.big <- struct{}{}:
	case <-p.ctx.Done():
		return chunker.Manifest{}, p.ctx.Err()
	}
	defer func() { <-p.big }()
	return chunker.Cut(p.ctx, f, size, c, runtime.GOMAXPROCS(0))
}

// class is the one that the pool uses for this file, so that equal bytes get an equal name.
func (p *pass) class(j job, size int64) chunker.Class {
	if chunker.Fixed(size) {
		return chunker.ClassFor(size)
	}
	if p.ix.Hint != nil {
		if c, ok := p.ix.Hint(j.path); ok {
			return c.Keep(size)
		}
	}
	if j.known != nil && j.known.Kind == event.File {
		return j.known.Class.Keep(size)
	}
	return chunker.ClassFor(size)
}

func fileValue(m chunker.Manifest, st Stat) event.Value {
	v := event.Value{Kind: event.File, Root: m.Root(), Size: m.Size, Class: m.Class, Mode: st.Perm(), MTime: st.MTime}
	if len(m.Chunks) <= event.MaxInline {
		v.Chunks = m.Chunks
	}
	return v
}

// link reads a symbolic link between two equal looks at it.
func (p *pass) link(path event.Path, st Stat, k *Known) error {
	target, err := p.t.readLink(path)
	now, err2 := p.t.lstat(path)
	switch {
	case Absent(err) || Absent(err2) || errors.Is(err, syscall.EINVAL) || err == nil && err2 == nil && now != st:
		p.retry(path)
		return nil
	case err != nil || err2 != nil:
		p.trouble(path, errors.Join(err, err2))
		return nil
	case len(target) > event.MaxTarget:
		p.problem(path, CodeName, "it points to a name that is too long", "use a shorter one, or ignore it with "+IgnoreFile)
		return nil
	}
	v := event.Value{Kind: event.Link, Target: target, Mode: event.LinkMode, MTime: now.MTime}
	return p.sendValue(Seen{Path: path, Value: v, Stat: now, Racy: young(now, time.Now())}, k)
}

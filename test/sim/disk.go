package sim

import (
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"

	"github.com/bwaklog/meerkat/folder"
)

// Disk is the real file system below a node's folder, until the machine dies: from then on nothing is written any more.
type Disk struct {
	folder.FS
	mu   sync.Mutex
	dead bool
	left int    // calls until then is called; not counted where it is 0
	then func() // dies, or edits
	hung <-chan struct{}

	wait   int            // calls until the disk fails
	bad    int            // so many calls then do
	err    error          // with this
	opened int            // files, ever
	wet    map[*file]bool // written to, and not synced since
}

// Fail has the calls from the n-th changing one on fail, so many of them, with err.
func (d *Disk) Fail(n, many int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wait, d.bad, d.err = n, many, err
}

// failLocked counts a changing call, and gives the error of one that is to fail.
func (d *Disk) failLocked() error {
	switch {
	case d.wait > 0:
		d.wait--
	case d.bad > 0:
		d.bad--
		return d.err
	}
	return nil
}

// NewDisk opens the disk below root. Close it.
func NewDisk(root string) (*Disk, error) {
	fs, err := folder.OS(root)
	if err != nil {
		return nil, err
	}
	return &Disk{FS: fs, wet: map[*file]bool{}}, nil
}

// Close gives the root back.
func (d *Disk) Close() error {
	if c, ok := d.FS.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Die stops all writing. Of the files that the node has open, and did not sync since it wrote them, a part is gone.
func (d *Disk) Die(dice *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead, d.left = true, 0
	files := slices.SortedFunc(maps.Keys(d.wet), func(a, b *file) int { return a.nr - b.nr })
	for _, f := range files {
		if dice.IntN(2) == 0 && f.size > 0 {
			_ = f.File.Truncate(dice.Int64N(f.size)) // it may be closed: then it stays whole
		}
	}
}

// After has then called in the middle of whatever makes the n-th changing call from now.
func (d *Disk) After(n int, then func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.then = n, then
}

// Hang has every sync of a file from now on not end before until is closed.
func (d *Disk) Hang(until <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hung = until
}

func (d *Disk) awaitHung() {
	d.mu.Lock()
	until := d.hung
	d.mu.Unlock()
	if until != nil {
		<-until
	}
}

// before counts a changing call, and fails it where the machine is dead.
func (d *Disk) before() error {
	d.mu.Lock()
	var then func()
	if d.left > 0 {
		if d.left--; d.left == 0 {
			then = d.then
		}
	}
	d.mu.Unlock()
	if then != nil {
		then()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return syscall.EIO
	}
	return d.failLocked()
}

// Open opens a regular file. The note on how far the log has come is not counted, so that older seeds stay what they were.
func (d *Disk) Open(l folder.Label, p string, m folder.OpenMode) (folder.File, error) {
	if l == "log" {
		return d.openNote(p, m)
	}
	if m != folder.ReadOnly {
		if err := d.before(); err != nil {
			return nil, err
		}
	}
	f, err := d.FS.Open(l, p, m)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened++
	return &file{File: f, d: d, nr: d.opened}, nil
}

func (d *Disk) openNote(p string, m folder.OpenMode) (folder.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead && m != folder.ReadOnly {
		return nil, syscall.EIO
	}
	return d.FS.Open("log", p, m)
}

// Mkdir makes a directory.
func (d *Disk) Mkdir(l folder.Label, p string) error {
	if err := d.before(); err != nil {
		return err
	}
	return d.FS.Mkdir(l, p)
}

// Link makes a link.
func (d *Disk) Link(l folder.Label, old, p string, k folder.LinkKind) error {
	if err := d.before(); err != nil {
		return err
	}
	return d.FS.Link(l, old, p, k)
}

// Rename moves.
func (d *Disk) Rename(l folder.Label, from, to string, m folder.RenameMode) error {
	if err := d.before(); err != nil {
		return err
	}
	return d.FS.Rename(l, from, to, m)
}

// Remove removes.
func (d *Disk) Remove(l folder.Label, p string, dir bool) error {
	if err := d.before(); err != nil {
		return err
	}
	return d.FS.Remove(l, p, dir)
}

// Attr sets mode and times.
func (d *Disk) Attr(l folder.Label, p string, a folder.Attr) error {
	if err := d.before(); err != nil {
		return err
	}
	return d.FS.Attr(l, p, a)
}

// Sync counts. Of names nothing is lost here; with "" all that was written is safe.
func (d *Disk) Sync(l folder.Label, p string) error {
	if l == "dry" {
		return nil // for what people write, which is never lost here
	}
	if err := d.before(); err != nil || p != "" {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.wet)
	return nil
}

// file passes the changing calls of a file by its disk.
type file struct {
	folder.File
	d    *Disk
	nr   int
	size int64 // of what was written, under d.mu
}

// wrote notes that the file holds size bytes at least that may not be on the disk yet.
func (f *file) wrote(size int64) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.wet[f], f.size = true, max(f.size, size)
}

// Close closes the file.
func (f *file) Close() error {
	f.d.mu.Lock()
	delete(f.d.wet, f)
	f.d.mu.Unlock()
	return f.File.Close()
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.before(); err != nil {
		return 0, err
	}
	f.wrote(off + int64(len(b)))
	return f.File.WriteAt(b, off)
}

func (f *file) Attr(a folder.Attr) error {
	if err := f.d.before(); err != nil {
		return err
	}
	return f.File.Attr(a)
}

func (f *file) Truncate(n int64) error {
	if err := f.d.before(); err != nil {
		return err
	}
	return f.File.Truncate(n)
}

func (f *file) Reserve(n int64) error {
	if err := f.d.before(); err != nil {
		return err
	}
	return f.File.Reserve(n)
}

func (f *file) CopyFrom(src folder.File, n int64) error {
	if err := f.d.before(); err != nil {
		return err
	}
	if s, ok := src.(*file); ok {
		src = s.File
	}
	f.wrote(n)
	return f.File.CopyFrom(src, n)
}

func (f *file) Sync() error {
	f.d.awaitHung()
	if err := f.d.before(); err != nil {
		return err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.wet, f)
	return nil
}

package sim

import (
	"io"
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
}

// NewDisk opens the disk below root. Close it.
func NewDisk(root string) (*Disk, error) {
	fs, err := folder.OS(root)
	if err != nil {
		return nil, err
	}
	return &Disk{FS: fs}, nil
}

// Close gives the root back.
func (d *Disk) Close() error {
	if c, ok := d.FS.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Die stops all writing.
func (d *Disk) Die() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead, d.left = true, 0
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
	return nil
}

// Open opens a regular file.
func (d *Disk) Open(l folder.Label, p string, m folder.OpenMode) (folder.File, error) {
	if m != folder.ReadOnly {
		if err := d.before(); err != nil {
			return nil, err
		}
	}
	f, err := d.FS.Open(l, p, m)
	if err != nil {
		return nil, err
	}
	return &file{f, d}, nil
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

// Sync counts, and does nothing: the folder's disk outlives every crash here.
func (d *Disk) Sync(folder.Label, string) error { return d.before() }

// file passes the changing calls of a file by its disk.
type file struct {
	folder.File
	d *Disk
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.before(); err != nil {
		return 0, err
	}
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
	return f.File.CopyFrom(src, n)
}

func (f *file) Sync() error {
	f.d.awaitHung()
	return f.d.before()
}

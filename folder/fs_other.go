//go:build !linux

package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// osFS is the portable file system over os.Root. What it cannot promise that Linux can: Exchange is refused (apply falls back
// to moving the old object away and the new one in, with a moment without the file), NoReplace looks before it
// renames, and a directory that somebody swaps for a link during a call is kept inside the root, not out of the way.
type osFS struct{ root *os.Root }

// OS gives the real file system below dir. Close it with the Folder, or where it is an io.Closer.
func OS(dir string) (FS, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &osFS{root: r}, nil
}

// Close gives the root handle back.
func (o *osFS) Close() error { return o.root.Close() }

// safe refuses a path one of whose directories is a link, and gives the path in the system's spelling.
func (o *osFS) safe(path string) (string, error) {
	for i := 0; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		fi, err := o.root.Lstat(filepath.FromSlash(path[:i]))
		if err != nil {
			return "", err
		}
		if !fi.IsDir() {
			return "", &os.PathError{Op: "open", Path: path[:i], Err: syscall.ENOTDIR}
		}
	}
	if !representable(path) {
		return "", &os.PathError{Op: "open", Path: path, Err: syscall.EINVAL}
	}
	return filepath.FromSlash(path), nil
}

// representable reports whether this platform can hold the names of path as they are.
func representable(path string) bool {
	if filepath.Separator == '/' {
		return true
	}
	return !strings.ContainsAny(path, `\:*?"<>|`) && filepath.IsLocal(filepath.FromSlash(path))
}

func (o *osFS) Stat(_ Label, path string) (Stat, error) {
	p, err := o.safe(path)
	if err != nil {
		return Stat{}, err
	}
	fi, err := o.root.Lstat(p)
	if err != nil {
		return Stat{}, err
	}
	return statInfo(fi), nil
}

func modeOf(m fs.FileMode) uint32 {
	out := uint32(m.Perm())
	switch {
	case m.IsRegular():
		out |= modeFile
	case m.IsDir():
		out |= modeDir
	case m&fs.ModeSymlink != 0:
		out |= modeLink
	}
	return out
}

func (o *osFS) Open(_ Label, path string, m OpenMode) (File, error) {
	p, err := o.safe(path)
	if err != nil {
		return nil, err
	}
	if m != CreateNew {
		fi, err := o.root.Lstat(p)
		if err != nil {
			return nil, err
		}
		if !fi.Mode().IsRegular() {
			return nil, &os.PathError{Op: "open", Path: path, Err: errNotRegular}
		}
	}
	flags := [...]int{ReadOnly: os.O_RDONLY, ReadWrite: os.O_RDWR, CreateNew: os.O_RDWR | os.O_CREATE | os.O_EXCL}[m]
	f, err := o.root.OpenFile(p, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, root: o.root, path: p}, nil
}

func (o *osFS) List(_ Label, path string) ([]string, error) {
	p, err := o.safe(path)
	if err != nil {
		return nil, err
	}
	d, err := o.root.Open(p)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (o *osFS) ReadLink(_ Label, path string) (string, error) {
	p, err := o.safe(path)
	if err != nil {
		return "", err
	}
	return o.root.Readlink(p)
}

func (o *osFS) Mkdir(_ Label, path string) error {
	p, err := o.safe(path)
	if err != nil {
		return err
	}
	return o.root.Mkdir(p, 0o700)
}

func (o *osFS) Link(_ Label, old, path string, k LinkKind) error {
	p, err := o.safe(path)
	if err != nil {
		return err
	}
	if k == Soft {
		return o.root.Symlink(old, p)
	}
	from, err := o.safe(old)
	if err != nil {
		return err
	}
	return o.root.Link(from, p)
}

func (o *osFS) Rename(_ Label, from, to string, m RenameMode) error {
	if m == Exchange {
		return &os.PathError{Op: "exchange", Path: to, Err: ErrUnsupported}
	}
	src, err := o.safe(from)
	if err != nil {
		return err
	}
	dst, err := o.safe(to)
	if err != nil {
		return err
	}
	if _, err := o.root.Lstat(dst); err == nil {
		return &os.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return o.root.Rename(src, dst)
}

func (o *osFS) Remove(_ Label, path string, dir bool) error {
	p, err := o.safe(path)
	if err != nil {
		return err
	}
	fi, err := o.root.Lstat(p)
	if err != nil {
		return err
	}
	if fi.IsDir() != dir {
		return &os.PathError{Op: "remove", Path: path, Err: syscall.ENOTDIR}
	}
	return o.root.Remove(p)
}

func (o *osFS) Attr(_ Label, path string, a Attr) error {
	p, err := o.safe(path)
	if err != nil {
		return err
	}
	fi, err := o.root.Lstat(p)
	if err != nil || fi.Mode()&fs.ModeSymlink != 0 {
		return err // a link's own times cannot be set portably
	}
	return setAttr(o.root, p, a)
}

func setAttr(r *os.Root, p string, a Attr) error {
	if a.SetMode {
		if err := r.Chmod(p, fs.FileMode(a.Mode&modePerm)); err != nil {
			return err
		}
	}
	if a.SetMTime {
		return r.Chtimes(p, time.Time{}, time.Unix(splitTime(a.MTime)))
	}
	return nil
}

func (o *osFS) Sync(_ Label, path string) error {
	if path == "" {
		return ErrUnsupported
	}
	p, err := o.safe(path)
	if err != nil {
		return err
	}
	d, err := o.root.Open(p)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && filepath.Separator == '/' {
		return err
	}
	return nil // Windows keeps names by itself
}

// Space is not known portably: the reserve is not enforced here.
func (o *osFS) Space() (free, total int64, err error) { return 0, 0, ErrUnsupported }

type osFile struct {
	*os.File
	root *os.Root
	path string
}

func (f *osFile) Stat() (Stat, error) {
	fi, err := f.File.Stat()
	if err != nil {
		return Stat{}, err
	}
	return statInfo(fi), nil
}

func (f *osFile) Attr(a Attr) error                    { return setAttr(f.root, f.path, a) }
func (f *osFile) Reserve(int64) error                  { return ErrUnsupported }
func (f *osFile) Flush(int64, int64)                   {}
func (f *osFile) Freeze() bool                         { return false }
func (f *osFile) NextData(int64) (int64, int64, error) { return 0, 0, ErrUnsupported }
func (f *osFile) CopyFrom(src File, size int64) error  { return copyData(f, src, size) }

// Links is how many names the file has.
func (f *osFile) Links() (uint64, error) {
	fi, err := f.File.Stat()
	if err != nil {
		return 0, err
	}
	return linksOf(fi)
}

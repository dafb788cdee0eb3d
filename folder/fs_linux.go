package folder

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pathPiece is how much of a path one system call is given: PATH_MAX is 4096, and event paths may be that long.
	pathPiece = 3900
	resolve   = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	dirFlags  = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW
)

// osFS reaches below the root by directory descriptors.
type osFS struct {
	dir  *os.File
	fd   int
	walk atomic.Bool // openat2 is missing or forbidden here: go component by component
}

// OS gives the real file system below dir. Close it with the Folder, or where it is an io.Closer.
func OS(dir string) (FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	d, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	return &osFS{dir: d, fd: int(d.Fd())}, nil
}

// Close gives the root descriptor back.
func (o *osFS) Close() error { return o.dir.Close() }

// at is a directory descriptor and a name in it.
type at struct {
	fd   int
	base string
	own  bool
}

func (a at) done() {
	if a.own {
		_ = unix.Close(a.fd) // a directory handle: nothing to lose
	}
}

// parent opens the directory that holds path.
func (o *osFS) parent(path string) (at, error) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return at{fd: o.fd, base: path}, nil
	}
	fd, err := o.open(path[:i], dirFlags)
	return at{fd: fd, base: path[i+1:], own: true}, err
}

// open resolves a path below the root in as few calls as its length allows.
func (o *osFS) open(path string, flags int) (int, error) {
	fd, own := o.fd, false
	for {
		head, rest := cutPath(path)
		f := flags
		if rest != "" {
			f = dirFlags
		}
		next, err := o.openat(fd, head, f)
		if own {
			_ = unix.Close(fd) // a directory handle
		}
		if err != nil || rest == "" {
			return next, err
		}
		fd, own, path = next, true, rest
	}
}

func cutPath(path string) (head, rest string) {
	if len(path) <= pathPiece {
		return path, ""
	}
	i := strings.LastIndexByte(path[:pathPiece], '/')
	if i < 0 {
		return path, ""
	}
	return path[:i], path[i+1:]
}

func (o *osFS) openat(fd int, path string, flags int) (int, error) {
	if o.walk.Load() {
		return openWalk(fd, path, flags)
	}
	how := unix.OpenHow{Flags: uint64(flags), Resolve: resolve}
	if flags&unix.O_CREAT != 0 {
		how.Mode = 0o600
	}
	for range 100 {
		got, err := unix.Openat2(fd, path, &how)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR: //nolint:errorlint // raw errno; a rename somewhere above raced with us
			continue
		case err == unix.ENOSYS || err == unix.EPERM && flags == dirFlags: //nolint:errorlint // raw errno
			o.walk.Store(true)
			return openWalk(fd, path, flags)
		}
		return got, err
	}
	return -1, unix.EAGAIN
}

// openWalk resolves without openat2: no component may be a link, and ".." never gets here.
func openWalk(fd int, path string, flags int) (int, error) {
	own := false
	for {
		name, rest, more := strings.Cut(path, "/")
		f := flags | unix.O_NOFOLLOW
		if more {
			f = dirFlags
		}
		next, err := unix.Openat(fd, name, f, 0o600)
		if own {
			_ = unix.Close(fd) // a directory handle
		}
		if err != nil || !more {
			return next, err
		}
		fd, own, path = next, true, rest
	}
}

func (o *osFS) Stat(_ Label, path string) (Stat, error) {
	a, err := o.parent(path)
	if err != nil {
		return Stat{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	defer a.done()
	var st unix.Stat_t
	if err := unix.Fstatat(a.fd, a.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Stat{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return statOf(&st), nil
}

func statOf(st *unix.Stat_t) Stat {
	return Stat{
		Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size, Mode: st.Mode, //nolint:unconvert // not the same type everywhere
		MTime: unix.TimespecToNsec(st.Mtim), CTime: unix.TimespecToNsec(st.Ctim),
	}
}

func (o *osFS) Open(_ Label, path string, m OpenMode) (File, error) {
	flags := unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	switch m {
	case ReadOnly:
		flags |= unix.O_RDONLY
	case ReadWrite:
		flags |= unix.O_RDWR
	case CreateNew:
		flags |= unix.O_RDWR | unix.O_CREAT | unix.O_EXCL
	}
	fd, err := o.open(path, flags)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := &osFile{fd: fd, path: path}
	st, err := f.Stat()
	if err == nil && st.Mode&modeType != modeFile {
		err = errNotRegular
	}
	if err != nil {
		_ = f.Close() // nothing written
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}

func (o *osFS) List(_ Label, path string) ([]string, error) {
	fd, err := o.open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW)
	if err != nil {
		return nil, &os.PathError{Op: "list", Path: path, Err: err}
	}
	d := os.NewFile(uintptr(fd), path)
	defer d.Close()
	return d.Readdirnames(-1)
}

func (o *osFS) ReadLink(_ Label, path string) (string, error) {
	a, err := o.parent(path)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	defer a.done()
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(a.fd, a.base, buf[:])
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(buf[:n]), nil
}

func (o *osFS) Mkdir(_ Label, path string) error {
	return o.in("mkdir", path, func(a at) error { return unix.Mkdirat(a.fd, a.base, 0o700) })
}

func (o *osFS) Link(_ Label, old, path string, k LinkKind) error {
	return o.in("link", path, func(a at) error {
		if k == Soft {
			return unix.Symlinkat(old, a.fd, a.base)
		}
		from, err := o.parent(old)
		if err != nil {
			return err
		}
		defer from.done()
		return unix.Linkat(from.fd, from.base, a.fd, a.base, 0)
	})
}

func (o *osFS) Rename(_ Label, from, to string, m RenameMode) error {
	return o.in("rename", to, func(a at) error {
		src, err := o.parent(from)
		if err != nil {
			return err
		}
		defer src.done()
		if m == Exchange {
			return exchange(src, a)
		}
		return moveNew(src, a)
	})
}

func exchange(src, dst at) error {
	err := unix.Renameat2(src.fd, src.base, dst.fd, dst.base, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return ErrUnsupported
	}
	return err
}

// moveNew renames to a name that must be free. Without kernel help it looks first, which leaves a window of microseconds.
func moveNew(src, dst at) error {
	err := unix.Renameat2(src.fd, src.base, dst.fd, dst.base, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dst.fd, dst.base, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		return unix.EEXIST
	}
	return unix.Renameat(src.fd, src.base, dst.fd, dst.base)
}

func (o *osFS) Remove(_ Label, path string, dir bool) error {
	flags := 0
	if dir {
		flags = unix.AT_REMOVEDIR
	}
	return o.in("remove", path, func(a at) error { return unix.Unlinkat(a.fd, a.base, flags) })
}

func (o *osFS) Attr(_ Label, path string, v Attr) error {
	return o.in("attr", path, func(a at) error {
		if v.SetMode {
			if err := chmodAt(a, v.Mode); err != nil {
				return err
			}
		}
		if v.SetMTime {
			return unix.UtimesNanoAt(a.fd, a.base, times(v.MTime), unix.AT_SYMLINK_NOFOLLOW)
		}
		return nil
	})
}

func times(mtime int64) []unix.Timespec {
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, timespecOf(mtime)}
}

func timespecOf(ns int64) unix.Timespec {
	ts, err := unix.TimeToTimespec(time.Unix(splitTime(ns)))
	if err != nil { // beyond what the kernel takes on a 32-bit machine
		return unix.NsecToTimespec(ns)
	}
	return ts
}

// chmodAt changes a mode without following a link; kernels before 6.6 need the detour over a path-only descriptor.
func chmodAt(a at, mode uint32) error {
	err := unix.Fchmodat(a.fd, a.base, mode, unix.AT_SYMLINK_NOFOLLOW)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	fd, err := unix.Openat(a.fd, a.base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&modeType == modeLink {
		return nil // a link has no mode of its own
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

func (o *osFS) Sync(_ Label, path string) error {
	if path == "" {
		return unix.Syncfs(o.fd)
	}
	fd, err := o.open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "sync", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if err := ignoringEINTR(func() error { return unix.Fsync(fd) }); err != nil {
		return &os.PathError{Op: "sync", Path: path, Err: err}
	}
	return nil
}

// in runs a call that needs the parent of path, and names both in its error.
func (o *osFS) in(op, path string, call func(at) error) error {
	a, err := o.parent(path)
	if err == nil {
		err = ignoringEINTR(func() error { return call(a) })
		a.done()
	}
	if err != nil {
		return &os.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Space gives the bytes that this process may still write, and those of the whole file system.
func (o *osFS) Space() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(o.fd, &st); err != nil {
		return 0, 0, err
	}
	size := int64(st.Bsize) //nolint:unconvert // not the same type everywhere
	return int64(st.Bavail) * size, int64(st.Blocks) * size, nil
}

var _ io.Closer = (*osFS)(nil)

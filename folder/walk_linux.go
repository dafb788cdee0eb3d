package folder

import (
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bwaklog/meerkat/event"
)

// rawTree reaches everything by descriptors, with as few system calls and allocations as there can be: a directory
// is opened, read and asked for each name's statx.
type rawTree struct{ fs *osFS }

func (f *Folder) tree() tree {
	return rawTree{fs: &osFS{dir: f.dir, fd: int(f.dir.Fd())}}
}

const (
	listFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fileFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	linkFlags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC

	statMask  = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME | unix.STATX_CTIME
	statFlags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
)

func (t rawTree) openAt(p event.Path, flags int) (int, error) {
	name := string(p)
	if p == "" {
		name = "."
	}
	fd, err := t.fs.open(name, flags)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

func (t rawTree) list(p event.Path, l *listing) error {
	fd, err := t.openAt(p, listFlags)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // read only
	l.entries, l.names = l.entries[:0], l.names[:0]
	if l.self, err = statFD(fd); err != nil {
		return &os.PathError{Op: "stat", Path: string(p), Err: err}
	}
	if err := l.read(fd, p == ""); err != nil {
		return &os.PathError{Op: "read directory", Path: string(p), Err: err}
	}
	l.statAll(fd)
	slices.SortFunc(l.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return nil
}

// dirBuffers hold what one getdents call gives back.
var dirBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// read collects the names in the directory fd.
func (l *listing) read(fd int, root bool) error {
	buf := dirBuffers.Get().(*[64 << 10]byte)
	defer dirBuffers.Put(buf)
	for {
		n, err := unix.Getdents(fd, buf[:])
		if err == unix.EINTR { //nolint:errorlint // raw errno
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		eachDirent(buf[:n], func(name []byte, _ byte) {
			if root && string(name) == metaDir {
				return
			}
			l.entries = append(l.entries, entry{at: len(l.names)})
			l.names = append(append(l.names, name...), 0)
		})
	}
	l.cutNames()
	return nil
}

// cutNames gives each entry its name, as pieces of one string.
func (l *listing) cutNames() {
	all := string(l.names)
	for i := range l.entries {
		from, to := l.entries[i].at, len(all)
		if i+1 < len(l.entries) {
			to = l.entries[i+1].at
		}
		l.entries[i].name = all[from : to-1]
	}
}

// eachDirent walks the records of a getdents buffer, without "." and "..". name is valid during the call.
func eachDirent(b []byte, yield func(name []byte, typ byte)) {
	const nameAt = int(unsafe.Offsetof(unix.Dirent{}.Name))
	for len(b) > 0 {
		d := (*unix.Dirent)(unsafe.Pointer(&b[0]))
		name := b[nameAt:d.Reclen]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		if string(name) != "." && string(name) != ".." {
			yield(name, d.Type)
		}
		b = b[d.Reclen:]
	}
}

// statAll fills in the Stat of each entry. What has gone meanwhile is left out.
func (l *listing) statAll(fd int) {
	kept := l.entries[:0]
	var st unix.Statx_t
	for _, e := range l.entries {
		if err := statxRaw(fd, &l.names[e.at], statFlags, &st); err == nil {
			e.stat = statOfX(&st)
		} else if err == unix.ENOENT { //nolint:errorlint // raw errno
			continue
		} else {
			e.err = err
		}
		kept = append(kept, e)
	}
	l.entries = kept
}

// statxRaw is statx with a name that ends in NUL already, so that nothing is copied.
func statxRaw(fd int, name *byte, flags int, st *unix.Statx_t) error {
	for {
		_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(name)), uintptr(flags), statMask,
			uintptr(unsafe.Pointer(st)), 0)
		switch e {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return e
		}
	}
}

func statOfX(st *unix.Statx_t) Stat {
	return Stat{
		Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino, Size: int64(st.Size), Mode: uint32(st.Mode),
		MTime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec), CTime: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
	}
}

func statFD(fd int) (Stat, error) {
	var st unix.Statx_t
	var empty byte
	if err := statxRaw(fd, &empty, unix.AT_EMPTY_PATH, &st); err != nil {
		return Stat{}, err
	}
	return statOfX(&st), nil
}

func (t rawTree) lstat(p event.Path) (Stat, error) {
	fd, err := t.openAt(p, linkFlags)
	if err != nil {
		return Stat{}, err
	}
	defer unix.Close(fd) // a handle
	st, err := statFD(fd)
	if err != nil {
		return Stat{}, &os.PathError{Op: "stat", Path: string(p), Err: err}
	}
	return st, nil
}

func (t rawTree) born(p event.Path) (int64, bool) {
	fd, err := t.openAt(p, linkFlags)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd) // a handle
	var st unix.Statx_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec), err == nil && st.Mask&unix.STATX_BTIME != 0
}

func (t rawTree) readLink(p event.Path) (string, error) {
	fd, err := t.openAt(p, linkFlags)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd) // a handle
	buf := make([]byte, event.MaxTarget+1)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", &os.PathError{Op: "read link", Path: string(p), Err: err}
	}
	return string(buf[:n]), nil
}

// rawFile reads by pread and owes the runtime nothing: no finaliser, no poller.
type rawFile int

func (t rawTree) open(p event.Path) (openFile, error) {
	fd, err := t.openAt(p, fileFlags)
	if err != nil {
		return nil, err
	}
	return rawFile(fd), nil
}

func (f rawFile) stat() (Stat, error) { return statFD(int(f)) }
func (f rawFile) close()              { _ = unix.Close(int(f)) } // read only

func (f rawFile) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) {
		m, err := unix.Pread(int(f), b[n:], off+int64(n))
		if err == unix.EINTR { //nolint:errorlint // raw errno
			continue
		}
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

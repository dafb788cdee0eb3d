package folder

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	copyPiece = 1 << 30
)

// osFile is a descriptor of a regular file. It is not registered with the runtime's poller: regular files never
// become unready, and registering costs two system calls a file.
type osFile struct {
	fd     int
	path   string
	closed atomic.Bool
}

func (f *osFile) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.path, Err: err}
}

func (f *osFile) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pread(f.fd, b[done:], off+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, f.wrap("read", err)
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

func (f *osFile) WriteAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Pwrite(f.fd, b[done:], off+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, f.wrap("write", err)
		}
		done += n
	}
	return done, nil
}

func (f *osFile) Close() error {
	if f.closed.Swap(true) {
		return f.wrap("close", os.ErrClosed)
	}
	return f.wrap("close", unix.Close(f.fd))
}

func (f *osFile) Stat() (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return Stat{}, f.wrap("stat", err)
	}
	return statOf(&st), nil
}

func (f *osFile) Attr(a Attr) error {
	if a.SetMode {
		if err := unix.Fchmod(f.fd, a.Mode); err != nil {
			return f.wrap("chmod", err)
		}
	}
	if !a.SetMTime {
		return nil
	}
	err := unix.UtimesNanoAt(f.fd, "", times(a.MTime), unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // kernels before 5.8
		tv := []unix.Timeval{unix.NsecToTimeval(a.MTime), unix.NsecToTimeval(a.MTime)}
		err = unix.Futimes(f.fd, tv)
	}
	return f.wrap("utimes", err)
}

// Links gives how many names the file has.
func (f *osFile) Links() (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(f.fd, &st)
	return uint64(st.Nlink), f.wrap("stat", err) //nolint:unconvert // not the same type everywhere
}

func (f *osFile) Truncate(size int64) error {
	return f.wrap("truncate", ignoringEINTR(func() error { return unix.Ftruncate(f.fd, size) }))
}

func (f *osFile) Reserve(size int64) error {
	err := ignoringEINTR(func() error { return unix.Fallocate(f.fd, unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return ErrUnsupported
	}
	return f.wrap("allocate", err)
}

func (f *osFile) Sync() error {
	return f.wrap("sync", ignoringEINTR(func() error { return unix.Fsync(f.fd) }))
}

func (f *osFile) Flush(off, n int64) {
	_ = unix.SyncFileRange(f.fd, off, n, unix.SYNC_FILE_RANGE_WRITE) // a hint: Sync reports what goes wrong
}

// Freeze takes a read lease: it is granted only when nobody has the file open for writing, and who wants to open it
// so has to wait until it is given back by Close.
func (f *osFile) Freeze() bool {
	_, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETLEASE, unix.F_RDLCK)
	return err == nil
}

func (f *osFile) NextData(off int64) (start, end int64, err error) {
	start, err = unix.Seek(f.fd, off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 0, 0, io.EOF
	}
	if err != nil {
		return 0, 0, f.wrap("seek", err)
	}
	end, err = unix.Seek(f.fd, start, unix.SEEK_HOLE)
	return start, end, f.wrap("seek", err)
}

func (f *osFile) CopyFrom(src File, size int64) error {
	s, ok := src.(*osFile)
	if !ok {
		return copyData(f, src, size)
	}
	if err := unix.IoctlFileClone(f.fd, s.fd); err == nil {
		return f.Truncate(size)
	}
	err := f.copyRanges(s, size)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return copyData(f, src, size)
	}
	return err
}

func (f *osFile) copyRanges(s *osFile, size int64) error {
	err := eachData(s, size, func(start, end int64) error {
		for start < end {
			in, out := start, start
			n, err := unix.CopyFileRange(s.fd, &in, f.fd, &out, int(min(end-start, copyPiece)), 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return f.wrap("copy", err)
			}
			if n == 0 {
				return io.ErrUnexpectedEOF
			}
			start += int64(n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return f.Truncate(size)
}

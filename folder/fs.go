package folder

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// Label names the moment at which a call is made ("exchange", "stage copy"), so that a test can fail exactly one call.
type Label string

// FS is the one door to the user's files: ten verbs, relative to one root directory.
//
// Paths are slash separated and relative; "." is the root. No verb follows a symbolic link, neither in the last component
// nor in one before it, and none leaves the root: such a path gives an error that satisfies Absent. Errors are the system's own
// (errors.Is with syscall.Errno works). Calls block for as long as the disk does, and may be made by many goroutines at once.
type FS interface {
	// Stat says what stands at path, links included.
	Stat(l Label, path string) (Stat, error)
	// Open opens a regular file. What is not one gives an error, and no FIFO or device blocks the call.
	Open(l Label, path string, m OpenMode) (File, error)
	// List gives the names in a directory, in no order.
	List(l Label, path string) ([]string, error)
	// ReadLink gives a symbolic link's target.
	ReadLink(l Label, path string) (string, error)
	// Mkdir makes a directory that only its owner may use (0700).
	Mkdir(l Label, path string) error
	// Link makes path a symbolic link to old (Soft), or another name of the file old (Hard).
	Link(l Label, old, path string, k LinkKind) error
	// Rename moves from to to; the mode says what happens to something that stands at to.
	Rename(l Label, from, to string, m RenameMode) error
	// Remove removes a file or link (dir false), or an empty directory (dir true).
	Remove(l Label, path string, dir bool) error
	// Attr sets mode bits and times of what stands at path, a link's own times included.
	Attr(l Label, path string, a Attr) error
	// Sync makes a directory's names durable; with path "" everything on the file system.
	Sync(l Label, path string) error
}

// OpenMode says for what a file is opened.
type OpenMode uint8

// The ways to open a file.
const (
	ReadOnly  OpenMode = iota // an existing file
	ReadWrite                 // an existing file
	CreateNew                 // a file that must not exist yet (0600), to read and write
)

// LinkKind tells symbolic from hard links.
type LinkKind uint8

// The kinds of links.
const (
	Soft LinkKind = iota
	Hard
)

// RenameMode says what Rename does with something that stands at the new name.
type RenameMode uint8

// The ways to rename.
const (
	NoReplace RenameMode = iota // it is an error (fs.ErrExist), and nothing moves
	Exchange                    // the two change places, in one step; both must exist
)

// Attr is what Attr sets. The zero value sets nothing.
type Attr struct {
	SetMode  bool
	Mode     uint32 // permission bits, with set-group-id and sticky for directories
	SetMTime bool
	MTime    int64 // ns
}

// File is an open regular file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Stat is the file's state now.
	Stat() (Stat, error)
	// Attr sets mode bits and times.
	Attr(Attr) error
	// Truncate sets the size; what is added is a hole.
	Truncate(size int64) error
	// Reserve takes disk space for the first size bytes without changing the size. ErrUnsupported where that cannot be done.
	Reserve(size int64) error
	// CopyFrom fills an empty file with the first size bytes of src: shared where the file system can, copied otherwise, holes kept.
	CopyFrom(src File, size int64) error
	// NextData gives the first range of data at or after off; holes are skipped. io.EOF when only a hole follows.
	NextData(off int64) (start, end int64, err error)
	// Flush starts writing a range to the disk, and does not wait for it.
	Flush(off, n int64)
	// Freeze keeps others from opening the file for writing until Close, and reports whether it could:
	// false when somebody has it open for writing, or the system knows no such thing.
	Freeze() bool
	// Links is how many names the file has. ErrUnsupported where the system does not tell.
	Links() (uint64, error)
	// Sync makes content and attributes durable.
	Sync() error
}

// ErrUnsupported says that this file system or platform has no such operation.
var ErrUnsupported = errors.ErrUnsupported

// errNotRegular is what Open gives for a directory, a link or a special file.
var errNotRegular = errors.New("not a regular file")

// Absent reports whether err says that nothing stands at a path: no such name, or a parent that is no directory (a link is none).
func Absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

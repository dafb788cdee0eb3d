package folder

import (
	"github.com/bwaklog/meerkat/event"
)

// entry is one name in a directory. When err is set its Stat could not be had and stat is zero.
type entry struct {
	name string
	stat Stat
	err  error
	at   int  // where name begins in listing.names
	hide bool // the rules ignore it
}

// listing is a directory's content, sorted by name. It may be used again for the next directory; the names in
// entries stay valid.
type listing struct {
	self    Stat
	entries []entry
	names   []byte // NUL after each name
}

// tree is the platform's read-only way to what lies below the root, for looking at many files quickly. No method
// follows a link, neither in the last component nor above it.
type tree interface {
	// list reads the directory p ("" is the root) whole, or fails. At the root the node's own directory is left out.
	list(p event.Path, l *listing) error
	lstat(p event.Path) (Stat, error)
	// open opens a regular file; errNotRegular for what is none.
	open(p event.Path) (openFile, error)
	readLink(p event.Path) (string, error)
	// born gives when the object at p was made, in ns; false where the system does not tell.
	born(p event.Path) (int64, bool)
}

// openFile is a regular file open for reading.
type openFile interface {
	ReadAt(b []byte, off int64) (int, error)
	stat() (Stat, error)
	close()
}

// child is the path of name in dir.
func child(dir event.Path, name string) event.Path {
	if dir == "" {
		return event.Path(name)
	}
	return dir + "/" + event.Path(name)
}

package folder

import (
	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// Stat is the part of a file's state by which a change is found. The zero value means nothing known.
type Stat struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime int64  // ns
	Mode         uint32 // st_mode as Unix has it: type and 12 bits; other platforms form it
}

// earliest is the first time, in seconds, that Linux file systems of the usual kinds can hold: in December 1901. Times in ns
// wrap around in 64 bits in 2262; what would lie before earliest lies after that, up to 2486.
const earliest = -1 << 31

// splitTime gives the seconds and nanoseconds of a time as Stat has it.
func splitTime(ns int64) (sec, nsec int64) {
	const second = 1_000_000_000
	if ns < earliest*second {
		return int64(uint64(ns) / second), int64(uint64(ns) % second)
	}
	sec, nsec = ns/second, ns%second
	if nsec < 0 {
		sec, nsec = sec-1, nsec+second
	}
	return sec, nsec
}

// Type and permission bits of Stat.Mode.
const (
	modeType = 0o170000
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
	modePerm = 0o777
)

// Kind gives the kind of entry that this is; ok is false for devices, FIFOs and sockets, which are never synced.
func (s Stat) Kind() (k event.Kind, ok bool) {
	switch s.Mode & modeType {
	case modeFile:
		return event.File, true
	case modeDir:
		return event.Dir, true
	case modeLink:
		return event.Link, true
	}
	return event.Tomb, false
}

// Perm gives the nine permission bits; a link's are always 0777.
func (s Stat) Perm() uint16 {
	if s.Mode&modeType == modeLink {
		return modePerm
	}
	return uint16(s.Mode & modePerm)
}

// Same reports whether s and t can be one object in one state. A directory's size and times
// change with every child and do not count.
func (s Stat) Same(t Stat) bool {
	if s.Mode&modeType == modeDir {
		return s.Dev == t.Dev && s.Ino == t.Ino && s.Mode == t.Mode
	}
	return s == t
}

// moved reports whether t can be s after a rename or a new hard link, which change the ctime and nothing else.
func (s Stat) moved(t Stat) bool {
	s.CTime = t.CTime
	return s.Same(t)
}

// is reports whether s and t are one object, in whatever state.
func (s Stat) is(t Stat) bool {
	return s.Dev == t.Dev && s.Ino == t.Ino && s.Mode&modeType == t.Mode&modeType
}

// Known is what the index says of a path, as far as scanning needs it. Kind Tomb: a deletion that was applied or made here.
type Known struct {
	Kind   event.Kind
	Stat   Stat
	Racy   bool // hashed so soon after a change that another one might show the same Stat: look again
	Root   chunker.ID
	Class  chunker.Class
	Target string
	Mode   uint16
	MTime  int64
}

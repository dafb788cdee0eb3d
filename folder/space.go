package folder

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
)

// reserveShare bounds the reserve on a small disk: it is at most one part in so many of it.
const reserveShare = 100

// ErrReserve says that a write would leave less free space than is kept in reserve. The error that wraps it is a *ReserveError.
var ErrReserve = errors.New("less disk space would be left than is kept in reserve")

// ReserveError tells what a write needed, and what there was; all in bytes.
type ReserveError struct{ Need, Free, Reserve int64 }

// Error says so in words for people.
func (e *ReserveError) Error() string {
	return fmt.Sprintf("the disk is nearly full: %s free, of which %s are kept in reserve, and this needs %s",
		humanize.Bytes(uint64(max(e.Free, 0))), humanize.Bytes(uint64(e.Reserve)), humanize.Bytes(uint64(max(e.Need, 0))))
}

// Is makes it an ErrReserve.
func (e *ReserveError) Is(target error) bool { return target == ErrReserve }

// Space gives the bytes of the folder's disk that this process may still write, and how many of these applying leaves alone:
// Config.Reserve, or a hundredth of the disk where that is less. ErrUnsupported where the file system cannot tell.
func (f *Folder) Space() (free, reserve int64, err error) {
	d, ok := f.fs.(interface {
		Space() (free, total int64, err error)
	})
	if !ok {
		return 0, 0, ErrUnsupported
	}
	free, total, err := d.Space()
	return free, min(f.cfg.Reserve(), total/reserveShare), err
}

// Room is a *ReserveError where n more bytes would eat into the reserve, or do not fit on the disk at all.
func (f *Folder) Room(n int64) error {
	free, reserve, err := f.Space()
	if err != nil || free-n >= reserve {
		return nil //nolint:nilerr // unknown: the disk will say when it is full
	}
	return &ReserveError{Need: n, Free: free, Reserve: reserve}
}

package store

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	ballastName = "BALLAST"
	ballastSize = 8 << 20
)

// ballast is a file that only takes up room. When the disk turns out to be full in the middle of a write it is given up, so
// that what has begun can end; room has refused all that has not.
type ballast struct {
	fs   vfs.FS
	path string
	log  *slog.Logger

	mu    sync.Mutex // held over making and removing the file, so that these do not meet
	there bool
}

// drop gives the room back. It may be called at any time.
func (b *ballast) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.there = false
	if err := b.fs.Remove(b.path); err == nil {
		b.log.Warn("the disk that holds the state is full")
	}
}

// lay makes the file if it is missing; free is what the disk has room for. Without room it is left for later.
func (b *ballast) lay(free uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.there || free < reserve+2*ballastSize {
		return
	}
	f, err := b.fs.Create(b.path, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(f.Preallocate(0, ballastSize), f.Close())
	}
	if err != nil {
		b.log.Debug("ballast", "err", err)
	}
	b.there = true // one try is enough: not every file system can do it
}

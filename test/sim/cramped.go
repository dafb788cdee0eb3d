package sim

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cramped is a disk that has no room while full says so.
type cramped struct {
	vfs.FS
	full *atomic.Bool
}

// GetDiskUsage is that of an empty or a full disk.
func (c cramped) GetDiskUsage(string) (vfs.DiskUsage, error) {
	const size = 1 << 40
	if c.full.Load() {
		return vfs.DiskUsage{TotalBytes: size, UsedBytes: size}, nil
	}
	return vfs.DiskUsage{AvailBytes: size, TotalBytes: size}, nil
}

//go:build !unix

package node

import (
	"io/fs"
	"syscall"
)

// errNotDir is what the system says of a path through a file.
const errNotDir = syscall.ENOTDIR

// exposed cannot tell here: access lists are not mode bits.
func exposed(fs.FileInfo) bool { return false }

// syncDir does nothing: directories cannot be synced here.
func syncDir(string) error { return nil }

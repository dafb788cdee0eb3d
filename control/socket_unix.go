//go:build !windows

package control

import (
	"io/fs"
	"os"
	"syscall"
)

// private reports whether a directory is this user's own and nobody else's.
func private(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && st.Mode().Perm()&0o077 == 0 && int(sys.Uid) == os.Geteuid()
}

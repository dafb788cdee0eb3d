//go:build unix

package node

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// errNotDir is what the system says of a path through a file.
const errNotDir = syscall.ENOTDIR

// exposed reports whether others than the owner can reach the file.
func exposed(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o077 != 0 }

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

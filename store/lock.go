package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pidFile lies beside pebble's files and names the process that had the lock last.
const pidFile = "PID"

func lockDir(fs vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrPermission) || isDiskTrouble(err):
		return nil, fmt.Errorf("lock state %s: %w", dir, err)
	default:
		return nil, &LockedError{Dir: dir, PID: readPID(fs, dir), Err: err}
	}
	if err := writePID(fs, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("note the process in %s: %w", dir, err), lock.Close())
	}
	return lock, nil
}

func writePID(fs vfs.FS, dir string) error {
	f, err := fs.Create(fs.PathJoin(dir, pidFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, strconv.Itoa(os.Getpid())+"\n")
	return errors.Join(err, f.Close())
}

// readPID is 0 when it cannot be known: the number is for people only.
func readPID(fs vfs.FS, dir string) int {
	f, err := fs.Open(fs.PathJoin(dir, pidFile))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }() // read only
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b))) // 0 when it is damaged
	return pid
}

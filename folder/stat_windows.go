package folder

import (
	"hash/fnv"
	"io/fs"
)

// statInfo has no inode and no change time here: a name and its times must do, so that a change which keeps size and
// mtime is not found.
func statInfo(fi fs.FileInfo) Stat {
	h := fnv.New64a()
	_, _ = h.Write([]byte(fi.Name())) // cannot fail
	return Stat{Ino: h.Sum64(), Size: fi.Size(), MTime: fi.ModTime().UnixNano(), Mode: modeOf(fi.Mode())}
}

func linksOf(fs.FileInfo) (uint64, error) { return 0, ErrUnsupported }

package folder

import (
	"errors"
	"fmt"
	"io"
)

const (
	logPath = metaDir + "/log"
	logMax  = 256
)

// NoteLog keeps beside the marker how far the log of the folder's owner has come: at most 256 bytes, each time equally
// many. It is not synced, for it is there to tell a state that is older than the folder from one that is not, while the
// machine runs on; after a power failure nothing is trusted that it could prove.
func (f *Folder) NoteLog(b []byte) error {
	h, err := f.fs.Open("log", logPath, ReadWrite)
	if Absent(err) {
		h, err = f.fs.Open("log", logPath, CreateNew)
	}
	if err == nil {
		_, err = h.WriteAt(b, 0)
		err = errors.Join(err, h.Close())
	}
	if err != nil {
		return fmt.Errorf("note how far the log has come: %w", err)
	}
	return nil
}

// NotedLog is what NoteLog kept last, nil where there is none that can be read.
func (f *Folder) NotedLog() []byte {
	h, err := f.fs.Open("log", logPath, ReadOnly)
	if err != nil {
		return nil
	}
	defer h.Close()
	b := make([]byte, logMax)
	n, err := h.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return b[:n]
}

// Package folder is the only code that touches the user's files: it scans and watches them, says what has to be done to make
// them as the pool wants them, does that without ever losing a byte, and reads pieces of them back.
//
// It knows nothing of members, networks or the database: what the index remembers is handed in, what was done is handed back.
package folder

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/bwaklog/meerkat/event"
)

// Names below the root that belong to the node. They are never synced.
const (
	metaDir     = ".meerkat"
	markerPath  = metaDir + "/pool"
	tmpDir      = metaDir + "/tmp"
	versionsDir = metaDir + "/versions"
)

// Config says which folder is opened, and how. Root and Pool are needed; the rest has useful zero values.
type Config struct {
	Root    string       // the folder; may be reached through links, its path is resolved once
	Pool    event.PoolID // whose folder it must be
	FS      FS           // nil: the real one
	Log     *slog.Logger // nil: silent
	Reserve func() int64 // bytes of free disk space that applying leaves alone, at most a hundredth of the disk; nil: none
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Reserve == nil {
		c.Reserve = func() int64 { return 0 }
	}
	return c
}

func (c Config) validate() error {
	if c.Root == "" {
		return errors.New("folder: no root given")
	}
	return nil
}

// Folder is a pool's folder on this disk. Scan, ReadChunk and Partial may be used by many goroutines at once;
// Apply runs one call at a time.
type Folder struct {
	cfg      Config
	path     string // resolved
	log      *slog.Logger
	fs       FS
	ownFS    bool
	dir      *os.File // the root itself, for walking by descriptors
	dev      uint64   // the file system that the root lies on
	was      uint64   // the one that it lay on before, where that is known: Moved
	ino      uint64
	marker   Marker
	reader   reader
	partials roots    // open ones
	rules    ruleBook // what .meerkatignore says: ignore_file.go

	applyMu sync.Mutex // one Apply at a time: temporaries are named after their paths

	strandedMu sync.Mutex
	stranded   []displaced // that wait in tmp for Rescue
}

// Open opens a folder that Create has made, and checks that it is the one meant: *GuardError where the marker is
// missing or another pool's, or where the root is not usable.
func Open(c Config) (*Folder, error) {
	f, err := open(c)
	if err != nil {
		return nil, err
	}
	if err := f.adopt(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// open takes the root without looking at its marker.
func open(c Config) (*Folder, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	path, err := realDir(c.Root)
	if err != nil {
		return nil, err
	}
	f := &Folder{cfg: c, path: path, log: c.Log, fs: c.FS}
	if f.dir, err = os.Open(path); err != nil {
		return nil, guard(WhyUnusable, c.Root, err)
	}
	if f.fs == nil {
		f.ownFS = true
		if f.fs, err = OS(path); err != nil {
			return nil, errors.Join(guard(WhyUnusable, c.Root, err), f.dir.Close())
		}
	}
	st, err := f.fs.Stat("open root", ".")
	if err != nil {
		return nil, errors.Join(guard(WhyUnusable, c.Root, err), f.Close())
	}
	f.dev, f.ino = st.Dev, st.Ino
	return f, nil
}

// realDir resolves links in the way to the root, which must be a directory.
func realDir(root string) (string, error) {
	path, err := filepath.Abs(root)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", guard(WhyUnusable, root, err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		return "", guard(WhyUnusable, root, err)
	}
	if !fi.IsDir() {
		return "", guard(WhyNotDir, root, nil)
	}
	return path, nil
}

// adopt reads the marker and makes the node's own directories.
func (f *Folder) adopt() error {
	m, err := f.readMarker()
	if err != nil {
		return err
	}
	if m.Pool != f.cfg.Pool {
		return guard(WhyOtherPool, f.path, fmt.Errorf("it belongs to pool %s", m.Pool))
	}
	f.marker = m
	for _, d := range []string{tmpDir, versionsDir} {
		if err := f.fs.Mkdir("own directory", d); err != nil && !errors.Is(err, os.ErrExist) {
			return guard(WhyNotWritable, f.path, err)
		}
	}
	return f.restoreModes()
}

// Close lets go of the folder. Nothing of it may be used afterwards.
func (f *Folder) Close() error {
	f.reader.close()
	err := f.dir.Close()
	if c, ok := f.fs.(io.Closer); ok && f.ownFS {
		err = errors.Join(err, c.Close())
	}
	return err
}

// Root gives the folder's resolved path.
func (f *Folder) Root() string { return f.path }

// SyncAll returns when all that was written below the root so far is on the disk. ErrUnsupported where the system has no
// such thing.
func (f *Folder) SyncAll() error { return f.fs.Sync("dry", "") }

// Names is how many names the file at p has. ErrUnsupported where the system does not tell.
func (f *Folder) Names(p event.Path) (uint64, error) {
	h, err := f.fs.Open("names", string(p), ReadOnly)
	if err != nil {
		return 0, err
	}
	n, err := h.Links()
	return n, errors.Join(err, h.Close())
}

// Device gives the file system that the root lies on, as of Open.
func (f *Folder) Device() uint64 { return f.dev }

// Moved says on which file system the root lay when the index was written, 0 where that is not known. What the index has
// there then counts as being on the root's disk, and not as a disk of its own that went. Call it before the first scan.
func (f *Folder) Moved(from uint64) { f.was = from }

// Marker gives what the marker said when the folder was opened.
func (f *Folder) Marker() Marker { return f.marker }

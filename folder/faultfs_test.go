package folder_test

import (
	"sync"

	"github.com/bwaklog/meerkat/folder"
)

// call is one use of the file system seam.
type call struct {
	n     int // from 0
	label folder.Label
	verb  string
	path  string
}

// faultFS runs a hook before each call of the file system below it; the hook's error takes the call's place.
type faultFS struct {
	folder.FS
	mu   sync.Mutex
	n    int
	hook func(call) error
	log  []call
}

func (f *faultFS) before(l folder.Label, verb, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := call{f.n, l, verb, path}
	f.n++
	f.log = append(f.log, c)
	if f.hook == nil {
		return nil
	}
	return f.hook(c)
}

// arm starts counting from nothing with a new hook.
func (f *faultFS) arm(hook func(call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.log, f.hook = 0, nil, hook
}

func (f *faultFS) Stat(l folder.Label, p string) (folder.Stat, error) {
	if err := f.before(l, "stat", p); err != nil {
		return folder.Stat{}, err
	}
	return f.FS.Stat(l, p)
}

func (f *faultFS) Open(l folder.Label, p string, m folder.OpenMode) (folder.File, error) {
	if err := f.before(l, "open", p); err != nil {
		return nil, err
	}
	h, err := f.FS.Open(l, p, m)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: h, fs: f, l: l, path: p}, nil
}

func (f *faultFS) List(l folder.Label, p string) ([]string, error) {
	if err := f.before(l, "list", p); err != nil {
		return nil, err
	}
	return f.FS.List(l, p)
}

func (f *faultFS) ReadLink(l folder.Label, p string) (string, error) {
	if err := f.before(l, "readlink", p); err != nil {
		return "", err
	}
	return f.FS.ReadLink(l, p)
}

func (f *faultFS) Mkdir(l folder.Label, p string) error {
	if err := f.before(l, "mkdir", p); err != nil {
		return err
	}
	return f.FS.Mkdir(l, p)
}

func (f *faultFS) Link(l folder.Label, old, p string, k folder.LinkKind) error {
	verb := "link"
	if k == folder.Hard {
		verb = "hardlink"
	}
	if err := f.before(l, verb, p); err != nil {
		return err
	}
	return f.FS.Link(l, old, p, k)
}

func (f *faultFS) Rename(l folder.Label, from, to string, m folder.RenameMode) error {
	verb := "rename"
	if m == folder.Exchange {
		verb = "exchange"
	}
	if err := f.before(l, verb, to); err != nil {
		return err
	}
	return f.FS.Rename(l, from, to, m)
}

func (f *faultFS) Remove(l folder.Label, p string, dir bool) error {
	if err := f.before(l, "remove", p); err != nil {
		return err
	}
	return f.FS.Remove(l, p, dir)
}

func (f *faultFS) Attr(l folder.Label, p string, a folder.Attr) error {
	if err := f.before(l, "attr", p); err != nil {
		return err
	}
	return f.FS.Attr(l, p, a)
}

func (f *faultFS) Sync(l folder.Label, p string) error {
	return f.before(l, "sync", p) // counted and not done: no test here pulls the plug
}

// faultFile passes a file's changing calls by the same hook.
type faultFile struct {
	folder.File
	fs   *faultFS
	l    folder.Label
	path string
}

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.fs.before(f.l, "write", f.path); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f *faultFile) Attr(a folder.Attr) error {
	if err := f.fs.before(f.l, "fattr", f.path); err != nil {
		return err
	}
	return f.File.Attr(a)
}

func (f *faultFile) Truncate(n int64) error {
	if err := f.fs.before(f.l, "truncate", f.path); err != nil {
		return err
	}
	return f.File.Truncate(n)
}

func (f *faultFile) CopyFrom(src folder.File, n int64) error {
	if err := f.fs.before(f.l, "copy", f.path); err != nil {
		return err
	}
	if s, ok := src.(*faultFile); ok {
		src = s.File
	}
	return f.File.CopyFrom(src, n)
}

func (f *faultFile) Sync() error {
	return f.fs.before(f.l, "fsync", f.path) // as above
}

func (f *faultFile) Reserve(n int64) error {
	if err := f.fs.before(f.l, "reserve", f.path); err != nil {
		return err
	}
	return f.File.Reserve(n)
}

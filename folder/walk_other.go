//go:build !linux

package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bwaklog/meerkat/event"
)

// rootTree goes through os.Root: slower than the raw descriptors of Linux, and as unable to leave the folder.
type rootTree struct{ dir string }

func (f *Folder) tree() tree { return rootTree{dir: f.path} }

// in opens the root for one call, and turns p into the platform's form.
func (t rootTree) in(p event.Path, call func(r *os.Root, name string) error) error {
	r, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	name := "."
	if p != "" {
		name = filepath.FromSlash(string(p))
	}
	return errors.Join(noLinkAbove(r, name), call(r, name), r.Close())
}

// noLinkAbove refuses a path that leads through a link, which os.Root follows within the root.
func noLinkAbove(r *os.Root, name string) error {
	for i, c := range name {
		if c != filepath.Separator {
			continue
		}
		fi, err := r.Lstat(name[:i])
		if err != nil {
			return err
		}
		if !fi.IsDir() {
			return &os.PathError{Op: "open", Path: name[:i], Err: fs.ErrNotExist}
		}
	}
	return nil
}

func (t rootTree) list(p event.Path, l *listing) error {
	l.entries = l.entries[:0]
	return t.in(p, func(r *os.Root, name string) error {
		fi, err := r.Lstat(name)
		if err != nil {
			return err
		}
		if !fi.IsDir() {
			return &os.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
		}
		l.self = statInfo(fi)
		d, err := r.Open(name)
		if err != nil {
			return err
		}
		found, err := d.ReadDir(-1)
		l.take(found, p == "")
		return errors.Join(err, d.Close())
	})
}

func (l *listing) take(found []os.DirEntry, root bool) {
	for _, d := range found {
		if root && d.Name() == metaDir {
			continue
		}
		e := entry{name: d.Name()}
		fi, err := d.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			e.err = err
		default:
			e.stat = statInfo(fi)
		}
		l.entries = append(l.entries, e)
	}
	slices.SortFunc(l.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
}

func (t rootTree) lstat(p event.Path) (st Stat, err error) {
	err = t.in(p, func(r *os.Root, name string) error {
		fi, err := r.Lstat(name)
		if err == nil {
			st = statInfo(fi)
		}
		return err
	})
	return st, err
}

func (t rootTree) born(event.Path) (int64, bool) { return 0, false }

func (t rootTree) readLink(p event.Path) (target string, err error) {
	err = t.in(p, func(r *os.Root, name string) error {
		target, err = r.Readlink(name)
		return err
	})
	return target, err
}

type rootFile struct{ *os.File }

func (t rootTree) open(p event.Path) (f openFile, err error) {
	err = t.in(p, func(r *os.Root, name string) error {
		fi, err := r.Lstat(name)
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return errNotRegular
		}
		h, err := r.Open(name)
		if err == nil {
			f = rootFile{h}
		}
		return err
	})
	return f, err
}

func (f rootFile) stat() (Stat, error) {
	fi, err := f.File.Stat()
	if err != nil {
		return Stat{}, err
	}
	return statInfo(fi), nil
}

func (f rootFile) close() { _ = f.Close() } // read only

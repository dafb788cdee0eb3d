package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bwaklog/meerkat/folder"
)

// folderTrouble tells an error of package folder to a person; nil stays nil.
func folderTrouble(dir string, err error) error {
	if err == nil {
		return nil
	}
	code := "folder_unwritable"
	if g, ok := errors.AsType[*folder.GuardError](err); ok {
		switch g.Why {
		case folder.WhyNotDir:
			code = "folder_not_dir"
		case folder.WhyNested:
			code = "folder_nested"
		case folder.WhyTaken, folder.WhyOtherPool:
			code = "folder_taken"
		}
		return trouble(code, nil, "%s", strings.TrimPrefix(g.Error(), "folder "))
	}
	return trouble(code, err, "cannot use the folder %s", dir)
}

// CheckDir says why dir cannot become a pool's folder, and makes it if it is
// not there. dir is an absolute path.
func (h *Home) CheckDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return trouble("bad_folder", nil, "%q is not an absolute path", dir)
	}
	real, err := realPath(dir)
	if err != nil {
		return trouble("folder_unwritable", err, "cannot look at %s", dir)
	}
	if err := h.checkPlace(dir, real); err != nil {
		return err
	}
	fi, err := os.Stat(real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(real, 0o755); err != nil {
			return trouble("folder_unwritable", err, "cannot make the folder %s", dir)
		}
	case errors.Is(err, errNotDir) || err == nil && !fi.IsDir():
		return trouble("folder_not_dir", nil, "%s is not a directory", dir)
	case err != nil:
		return trouble("folder_unwritable", err, "cannot look at %s", dir)
	}
	return tryWrite(dir, real)
}

// checkPlace compares where dir really lies with what it must not touch.
func (h *Home) checkPlace(dir, real string) error {
	if filepath.Dir(real) == real {
		return trouble("bad_folder", nil, "%s is the root of the file system", dir)
	}
	home, err := realPath(h.dir)
	if err != nil {
		return trouble("home_unusable", err, "cannot look at %s", h.dir)
	}
	switch {
	case real == home:
		return trouble("bad_folder", nil, "%s is the home of this node itself", dir)
	case under(real, home):
		return trouble("bad_folder", nil, "%s lies inside the home of this node, %s", dir, h.dir)
	case under(home, real):
		return trouble("bad_folder", nil, "%s holds the home of this node, %s", dir, h.dir)
	}
	for _, p := range h.Pools() {
		other, err := realPath(p.Path)
		if err != nil {
			other = p.Path // it cannot be looked at now; its name still counts
		}
		switch {
		case real == other:
			return trouble("folder_taken", nil, "%s is the folder of a pool already", dir)
		case under(real, other):
			return trouble("folder_nested", nil, "%s lies inside %s, which is the folder of another pool", dir, p.Path)
		case under(other, real):
			return trouble("folder_nested", nil, "%s holds %s, which is the folder of another pool", dir, p.Path)
		}
	}
	if up := folder.Above(real); up != "" {
		return trouble("folder_nested", nil, "%s lies inside %s, which is the folder of another node's pool", dir, up)
	}
	return nil
}

// under reports whether path lies below dir; both are clean and absolute.
func under(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// realPath resolves links in as much of path as is there.
func realPath(path string) (string, error) {
	path = filepath.Clean(path)
	real, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotDir) || filepath.Dir(path) == path {
		return real, err
	}
	if fi, err := os.Lstat(path); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		return "", &fs.PathError{Op: "follow link", Path: path, Err: fs.ErrNotExist}
	}
	up, err := realPath(filepath.Dir(path))
	return filepath.Join(up, filepath.Base(path)), err
}

// tryWrite makes sure that files can be made in the folder.
func tryWrite(dir, real string) error {
	f, err := os.CreateTemp(real, ".meerkat-*")
	if err != nil {
		return trouble("folder_unwritable", err, "%s is not writable", dir)
	}
	err = errors.Join(f.Close(), os.Remove(f.Name()))
	if err != nil {
		return trouble("folder_unwritable", err, "%s is not writable", dir)
	}
	return nil
}

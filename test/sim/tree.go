package sim

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Entry is what stands at a path.
type Entry struct {
	Kind  fs.FileMode // type bits
	Mode  fs.FileMode // permissions; not a link's
	MTime int64       // of a file, ns
	Value string      // of a file or link; "" for a directory
}

// Tree is what lies in a folder, by slash separated path, without what is the node's own.
type Tree map[string]Entry

// ReadTree reads the folder below root. A file whose content is not one that Content makes is an error.
func ReadTree(root string) (Tree, error) {
	t := Tree{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, p)
		switch {
		case err != nil:
			return err
		case rel == ".":
			return nil
		case rel == ".meerkat":
			return fs.SkipDir
		}
		t[rel], err = readEntry(p)
		return err
	})
	return t, err
}

func readEntry(p string) (Entry, error) {
	fi, err := os.Lstat(p)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Kind: fi.Mode().Type(), Mode: fi.Mode().Perm()}
	switch {
	case fi.Mode().IsRegular():
		e.MTime = fi.ModTime().UnixNano()
		e.Value, err = readValue(p)
	case fi.Mode()&fs.ModeSymlink != 0:
		e.Mode = 0
		e.Value, err = os.Readlink(p)
	}
	return e, err
}

// readValue gives the value that a file holds, whole.
func readValue(p string) (string, error) {
	b, err := os.ReadFile(p)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	value, size, _ := strings.Cut(first, " of ")
	n, err := strconv.Atoi(size)
	if err != nil || !bytes.Equal(b, Content(value, n)) {
		return "", fmt.Errorf("%s is torn: %d bytes that begin with %.40q", p, len(b), b)
	}
	return value, nil
}

// Content is a file that holds a value, of about size bytes: a line with both, and noise that follows from them.
func Content(value string, size int) []byte {
	b := fmt.Appendf(nil, "%s of %d\n", value, size)
	seed := [32]byte{}
	copy(seed[:], value)
	noise := make([]byte, max(size-len(b), 0))
	_, _ = rand.NewChaCha8(seed).Read(noise) // never fails
	return append(b, noise...)
}

// Diff says for each path where u differs from t how it does.
func (t Tree) Diff(u Tree) map[string]string {
	out := map[string]string{}
	for _, p := range slices.Sorted(maps.Keys(t)) {
		if e, ok := u[p]; !ok {
			out[p] = fmt.Sprintf("%s: %v, missing", p, t[p])
		} else if e != t[p] {
			out[p] = fmt.Sprintf("%s: %v, %v", p, t[p], e)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(u)) {
		if _, ok := t[p]; !ok {
			out[p] = fmt.Sprintf("%s: missing, %v", p, u[p])
		}
	}
	return out
}

func (e Entry) String() string {
	return fmt.Sprintf("%v%v %q @%d", e.Kind, e.Mode, e.Value, e.MTime)
}

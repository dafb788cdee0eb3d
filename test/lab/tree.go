package lab

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Entry is what stands at a path, as a person would compare it.
type Entry struct {
	kind   string
	mode   fs.FileMode
	mtime  int64 // ns; not of directories
	size   int64
	sum    [32]byte
	target string
}

func (e Entry) String() string {
	return fmt.Sprintf("%s %v mtime %d size %d %x %s", e.kind, e.mode, e.mtime, e.size, e.sum[:4], e.target)
}

// Snapshot reads a folder without .meerkat; what cannot be opened (FIFOs,
// sockets, devices) is left out.
func Snapshot(t testing.TB, dir string) map[string]Entry {
	t.Helper()
	out := map[string]Entry{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		if rel == ".meerkat" {
			return filepath.SkipDir
		}
		e, ok, err := look(path)
		if ok {
			out[rel] = e
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func look(path string) (Entry, bool, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return Entry{}, false, err
	}
	e := Entry{mode: fi.Mode().Perm(), mtime: fi.ModTime().UnixNano()}
	switch {
	case fi.IsDir():
		e.kind, e.mtime = "dir", 0
	case fi.Mode().IsRegular():
		b, err := os.ReadFile(path)
		if err != nil {
			return e, false, err
		}
		e.kind, e.size, e.sum = "file", int64(len(b)), sha256.Sum256(b)
	case fi.Mode()&fs.ModeSymlink != 0:
		e.kind = "link"
		e.target, err = os.Readlink(path)
	default:
		return e, false, nil
	}
	return e, true, err
}

// Compare lists the differences of two snapshots, "" where there are none.
func Compare(a, b map[string]Entry) string {
	var out []string
	for p, e := range a {
		if f, ok := b[p]; !ok {
			out = append(out, fmt.Sprintf("only in the first: %q %v", p, e))
		} else if e != f {
			out = append(out, fmt.Sprintf("%q: %v, in the second %v", p, e, f))
		}
	}
	for p, e := range b {
		if _, ok := a[p]; !ok {
			out = append(out, fmt.Sprintf("only in the second: %q %v", p, e))
		}
	}
	slices.Sort(out)
	if len(out) > 20 {
		out = append(out[:20], fmt.Sprintf("and %d more", len(out)-20))
	}
	return strings.Join(out, "\n")
}

// Saving is the name under which [Host.Write] writes a file before it gets its own. For a moment it is a file like any other, so
// a member may come to have it.
const Saving = ".saving~"

// Write saves a file as careful editors do: beside it, then renamed into place.
func (h *Host) Write(name, content string) {
	h.lab.T.Helper()
	path := h.Path(name)
	tmp := filepath.Join(filepath.Dir(path), Saving)
	h.OK(os.MkdirAll(filepath.Dir(path), 0o755))
	h.OK(os.WriteFile(tmp, []byte(content), 0o644))
	h.OK(os.Rename(tmp, path))
}

// Put writes a file in place.
func (h *Host) Put(name, content string) {
	h.lab.T.Helper()
	h.OK(os.MkdirAll(filepath.Dir(h.Path(name)), 0o755))
	h.OK(os.WriteFile(h.Path(name), []byte(content), 0o644))
}

func (h *Host) Path(name string) string { return filepath.Join(h.Dir, name) }

func (h *Host) OK(err error) {
	h.lab.T.Helper()
	if err != nil {
		h.lab.T.Fatalf("%s: %v", h.Name, err)
	}
}

// Read returns a file's content, or "<absent>".
func (h *Host) Read(name string) string {
	b, err := os.ReadFile(h.Path(name))
	if err != nil {
		return "<absent>"
	}
	return string(b)
}

func (h *Host) Exists(name string) bool {
	_, err := os.Lstat(h.Path(name))
	return err == nil
}

// Want checks a file's content, "<absent>" for none.
func (h *Host) Want(name, content string) {
	h.lab.T.Helper()
	if got := h.Read(name); got != content {
		h.lab.T.Errorf("%s: %s holds %.80q, want %.80q", h.Name, name, got, content)
	}
}

// Conflicts lists the conflict copies in the folder.
func (h *Host) Conflicts() []string {
	var out []string
	for p := range Snapshot(h.lab.T, h.Dir) {
		if strings.Contains(p, ".conflict-") {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// WantConflicts checks how many conflict copies there are.
func (h *Host) WantConflicts(n int) []string {
	h.lab.T.Helper()
	got := h.Conflicts()
	if len(got) != n {
		h.lab.T.Errorf("%s has conflict copies %v, want %d", h.Name, got, n)
	}
	return got
}

// old makes a file's times a little older, so that a later edit is not racy.
func (h *Host) Touch(name string, t time.Time) {
	h.lab.T.Helper()
	h.OK(os.Chtimes(h.Path(name), t, t))
}

// Noise is n bytes that do not compress, the same for the same seed.
func Noise(seed uint64, n int) []byte {
	out := make([]byte, n)
	x := seed*0x9E3779B97F4A7C15 + 1
	for i := 0; i < n; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		for j := 0; j < 8 && i+j < n; j++ {
			out[i+j] = byte(x >> (8 * j))
		}
	}
	return out
}

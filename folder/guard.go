package folder

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bwaklog/meerkat/event"
)

// Why says which guard stopped the work.
type Why string

// The guards.
const (
	WhyNoMarker    Why = "no_marker"    // .meerkat/pool is missing: unmounted, moved away, or never made
	WhyBadMarker   Why = "bad_marker"   // .meerkat/pool cannot be read as one
	WhyOtherPool   Why = "other_pool"   // the marker names another pool
	WhyOtherFolder Why = "other_folder" // the marker is not the one this folder was opened with
	WhyOtherDevice Why = "other_device" // the root is not the directory that was opened
	WhyNotDir      Why = "not_a_directory"
	WhyNotWritable Why = "not_writable"
	WhyUnusable    Why = "unusable" // it, or its marker, cannot be opened at all: nothing is known of it
	WhyNested      Why = "nested"   // another pool's folder lies above or below
	WhyTaken       Why = "taken"    // Create: it is a pool's folder already
)

// GuardError stops everything in a folder: nothing was read from it or written to it.
type GuardError struct {
	Why  Why
	Path string
	Err  error // may be nil
}

var guardText = map[Why]string{
	WhyNoMarker:    "the folder's marker .meerkat/pool is missing",
	WhyBadMarker:   "the folder's marker .meerkat/pool is damaged",
	WhyOtherPool:   "the folder belongs to another pool",
	WhyOtherFolder: "the folder's marker was replaced",
	WhyOtherDevice: "another directory or disk stands in the folder's place",
	WhyNotDir:      "not a directory",
	WhyNotWritable: "the folder is not writable",
	WhyUnusable:    "the folder cannot be opened",
	WhyNested:      "another pool's folder lies above or below it",
	WhyTaken:       "the folder is a pool's already",
}

func (e *GuardError) Error() string {
	s := fmt.Sprintf("folder %s: %s", e.Path, guardText[e.Why])
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *GuardError) Unwrap() error { return e.Err }

func guard(w Why, path string, err error) error { return &GuardError{Why: w, Path: path, Err: err} }

// Marker is what .meerkat/pool says.
type Marker struct {
	Pool   event.PoolID
	Folder [16]byte // made once, by Create
	Nonce  [16]byte // changed by Renew: a copy or a restored backup shows an old one
}

const (
	markerMax  = 4096
	markerText = "# This folder is kept by meerkat. Leave this file where it is.\nmeerkat-folder 1\npool %x\nfolder %x\nnonce %x\n"
)

func (m Marker) encode() []byte {
	return fmt.Appendf(nil, markerText, m.Pool[:], m.Folder[:], m.Nonce[:])
}

// DecodeMarker reads a marker's bytes.
func DecodeMarker(b []byte) (Marker, error) {
	var m Marker
	var version string
	fields := map[string]func(string) error{
		"meerkat-folder": func(v string) error { version = v; return nil },
		"pool":           func(v string) error { return unhex(m.Pool[:], v) },
		"folder":         func(v string) error { return unhex(m.Folder[:], v) },
		"nonce":          func(v string) error { return unhex(m.Nonce[:], v) },
	}
	for line := range bytes.Lines(b) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		set, ok := fields[string(name)]
		if !ok {
			continue // a comment, or something of a later version
		}
		if err := set(string(value)); err != nil {
			return Marker{}, fmt.Errorf("%s: %w", name, err)
		}
		delete(fields, string(name))
	}
	if version != "1" || len(fields) > 0 {
		return Marker{}, errors.New("not a marker of version 1")
	}
	return m, nil
}

func unhex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%d characters, want %d", len(s), 2*len(dst))
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// readMarker reads the marker through the file system seam, without following links.
func (f *Folder) readMarker() (Marker, error) {
	h, err := f.fs.Open("marker", markerPath, ReadOnly)
	if Absent(err) {
		return Marker{}, guard(WhyNoMarker, f.path, nil)
	}
	if err != nil {
		return Marker{}, guard(unread(err), f.path, err)
	}
	defer h.Close()
	b := make([]byte, markerMax)
	n, err := h.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Marker{}, guard(unread(err), f.path, err)
	}
	m, err := DecodeMarker(b[:n])
	if err != nil {
		return Marker{}, guard(WhyBadMarker, f.path, err)
	}
	return m, nil
}

// unread says what it means that a marker which is there cannot be read: trouble of the machine is no damage.
func unread(err error) Why {
	switch ProblemFor(markerPath, err).Code {
	case CodeIO, CodeTooManyFiles, CodeReadOnly, CodeDenied:
		return WhyUnusable
	}
	return WhyBadMarker
}

// Check makes sure that the folder is still the one that was opened: the same directory at its path, on the same
// device, with the same marker. *GuardError where it is not. It costs a few system calls.
func (f *Folder) Check() error {
	fi, err := os.Stat(f.path)
	if err != nil {
		return guard(WhyUnusable, f.path, err)
	}
	mine, err := f.dir.Stat()
	if err != nil {
		return guard(WhyUnusable, f.path, err)
	}
	if !os.SameFile(fi, mine) {
		return guard(WhyOtherDevice, f.path, nil)
	}
	m, err := f.readMarker()
	if err != nil {
		return err
	}
	if m.Pool != f.marker.Pool {
		return guard(WhyOtherPool, f.path, nil)
	}
	if m.Folder != f.marker.Folder {
		return guard(WhyOtherFolder, f.path, nil)
	}
	return nil
}

// Create makes a directory a pool's folder: it writes the marker and opens it. Files that lie there are left as they are.
// *GuardError where the root is not a directory, not writable, a pool's folder already, or inside or around one.
func Create(c Config) (*Folder, error) {
	f, err := open(c)
	if err != nil {
		return nil, err
	}
	if err := f.found(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Folder) found() error {
	if _, err := f.fs.Stat("taken", markerPath); err == nil {
		return guard(WhyTaken, f.path, nil)
	}
	if other, err := Nested(f.path); err != nil {
		return guard(WhyUnusable, f.path, err)
	} else if other != "" {
		return guard(WhyNested, f.path, errors.New(other))
	}
	for _, d := range []string{metaDir, tmpDir, versionsDir} {
		if err := f.fs.Mkdir("own directory", d); err != nil && !errors.Is(err, fs.ErrExist) {
			return guard(WhyNotWritable, f.path, err)
		}
	}
	m := Marker{Pool: f.cfg.Pool}
	_, _ = rand.Read(m.Folder[:]) // never fails
	_, _ = rand.Read(m.Nonce[:])  // never fails
	if err := f.writeMarker(m); err != nil {
		return guard(WhyNotWritable, f.path, err)
	}
	return f.adopt()
}

// Renew writes a fresh nonce into the marker and gives it. A state directory or a folder that is put back from a backup
// then no longer agrees with the other.
func (f *Folder) Renew() ([16]byte, error) {
	m := f.marker
	_, _ = rand.Read(m.Nonce[:]) // never fails
	if err := f.writeMarker(m); err != nil {
		return [16]byte{}, fmt.Errorf("renew the marker of %s: %w", f.path, err)
	}
	f.marker = m
	return m.Nonce, nil
}

// Hand gives the folder to another pool: durable when it returns, and the marker then names that pool and bears a fresh
// nonce. The folder must be used by nobody else; what lies in it stays as it is.
func (f *Folder) Hand(to event.PoolID) error {
	m := f.marker
	m.Pool = to
	_, _ = rand.Read(m.Nonce[:]) // never fails
	if err := f.writeMarker(m); err != nil {
		return fmt.Errorf("hand over %s: %w", f.path, err)
	}
	f.marker, f.cfg.Pool = m, to
	return nil
}

func (f *Folder) writeMarker(m Marker) error {
	const tmp = tmpDir + "/marker"
	if err := f.fs.Remove("marker", tmp, false); err != nil && !Absent(err) {
		return err
	}
	if err := f.writeTemp(tmp, m.encode()); err != nil {
		return err
	}
	err := f.fs.Rename("marker", tmp, markerPath, NoReplace)
	if errors.Is(err, fs.ErrExist) {
		if err = f.swap("marker", tmp, markerPath); err == nil {
			err = f.fs.Remove("marker", tmp, false)
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(f.fs.Sync("marker", metaDir), f.fs.Sync("marker", "."))
}

// writeTemp writes a small durable file.
func (f *Folder) writeTemp(path string, b []byte) error {
	h, err := f.fs.Open("marker", path, CreateNew)
	if err != nil {
		return err
	}
	_, err = h.WriteAt(b, 0)
	if err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close())
}

// Nested gives the root of a pool's folder that lies above or below dir, "" where there is none. It reads every directory
// below dir that it may read, and follows no links.
func Nested(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	if up := Above(dir); up != "" {
		return up, nil
	}
	return below(dir)
}

// Above gives the nearest pool's folder that dir lies in, "" where there is none. dir is absolute and resolved, and need not
// exist.
func Above(dir string) string {
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		if hasMarker(up) {
			return up
		}
		if up == filepath.Dir(up) {
			return ""
		}
	}
}

func below(dir string) (found string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // what cannot be read cannot be a folder of ours
		}
		if d.Name() != metaDir {
			return nil
		}
		if up := filepath.Dir(path); up != dir && hasMarker(up) {
			found = up
			return fs.SkipAll
		}
		return fs.SkipDir
	})
	return found, err
}

func hasMarker(dir string) bool {
	fi, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(markerPath)))
	return err == nil && fi.Mode().IsRegular()
}

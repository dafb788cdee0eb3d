package folder

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// Version is a file or link that was replaced or deleted, kept below .meerkat/versions.
type Version struct {
	Path event.Path // relative to .meerkat/versions
	Of   event.Path // where it stood
	Time time.Time  // when it was replaced, UTC, to the second
	Stat Stat       // its state there
	Root chunker.ID // Apply fills it in for files that were as the index says; List does not know it
}

// Size is how many bytes the version holds.
func (v Version) Size() int64 { return v.Stat.Size }

// Place is where ReadChunk finds it.
func (v Version) Place() Place { return Place{Path: v.Path, Version: true} }

const (
	versionTime = "20060102T150405Z"
	stampLen    = len("~") + len(versionTime) + len("-000")
	// lostDir holds versions whose path is too long to be kept as it was, and what a crash left in tmp.
	lostDir = "~"
)

// versionPath is where a version of p may be kept: the n-th of this second.
func versionPath(p event.Path, t time.Time, n int) event.Path {
	base := p.Base()
	ext := path.Ext(base)
	if ext == base || len(ext) > 32 {
		ext = ""
	}
	stem := strings.TrimSuffix(base, ext)
	if over := len(stem) + stampLen + len(ext) - event.MaxName; over > 0 {
		stem = cutName(stem, len(stem)-over)
	}
	return p.Dir().Join(fmt.Sprintf("%s~%s-%03d%s", stem, t.UTC().Format(versionTime), n, ext))
}

// cutName cuts s to at most n bytes, not within a character.
func cutName(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// toVersions moves what lies at name (below the root) to the versions of p. made remembers directories that exist.
func (f *Folder) toVersions(made map[string]bool, name string, p event.Path, t time.Time) (Version, error) {
	v, err := f.tryVersions(made, name, p, t)
	if errors.Is(err, syscall.ENAMETOOLONG) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, fs.ErrExist) {
		id := chunker.Sum([]byte(p))
		v, err = f.tryVersions(made, name, event.Path(lostDir).Join(hex.EncodeToString(id[:8])), t)
		v.Of = p
	}
	return v, err
}

func (f *Folder) tryVersions(made map[string]bool, name string, p event.Path, t time.Time) (Version, error) {
	if err := f.versionsIn(made, p.Dir()); err != nil {
		return Version{}, err
	}
	for n := range 1000 {
		v := Version{Path: versionPath(p, t, n), Of: p, Time: t.UTC().Truncate(time.Second)}
		to := v.Place().name()
		err := f.fs.Rename("version", name, to, NoReplace)
		if isExist(err) {
			continue
		}
		if err == nil {
			v.Stat, err = f.fs.Stat("version", to)
		}
		return v, err
	}
	return Version{}, &fs.PathError{Op: "keep a version", Path: string(p), Err: fs.ErrExist}
}

// versionsIn makes the directory for the versions of what stands in dir.
func (f *Folder) versionsIn(made map[string]bool, dir event.Path) error {
	if dir == "" || made[string(dir)] {
		return nil
	}
	if err := f.versionsIn(made, dir.Dir()); err != nil {
		return err
	}
	name := Place{Path: dir, Version: true}.name()
	if err := f.fs.Mkdir("version dir", name); err != nil {
		if !isExist(err) {
			return err
		}
		if st, err := f.fs.Stat("version dir", name); err != nil || st.Mode&modeType != modeDir {
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
	}
	made[string(dir)] = true
	return nil
}

// parseVersion reads a name in the versions directory.
func parseVersion(p event.Path) (Version, bool) {
	base := p.Base()
	for i := len(base) - stampLen; i >= 0; i-- {
		if t, ok := parseStamp(base[i : i+stampLen]); ok {
			return Version{Path: p, Of: p.Dir().Join(base[:i] + base[i+stampLen:]), Time: t}, true
		}
	}
	return Version{}, false
}

// parseStamp reads "~20060102T150405Z-000".
func parseStamp(s string) (time.Time, bool) {
	day, n, ok := strings.Cut(s[1:], "-")
	t, err := time.Parse(versionTime, day)
	return t, ok && err == nil && s[0] == '~' && len(n) == 3
}

// ListVersions gives the versions of what stood at p or, where p is a directory or "", of everything below it; the newest first.
func (f *Folder) ListVersions(p event.Path) ([]Version, error) {
	var all []Version
	err := f.walkVersions("", func(v Version) error {
		if p == "" || v.Of == p || v.Of.Under(p) {
			all = append(all, v)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list versions of %q: %w", p, err)
	}
	slices.SortFunc(all, func(a, b Version) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(string(b.Path), string(a.Path))
	})
	return all, nil
}

// walkVersions visits each version below dir, children before their directory is done.
func (f *Folder) walkVersions(dir event.Path, visit func(Version) error) error {
	names, err := f.fs.List("versions", Place{Path: dir, Version: true}.list())
	if err != nil {
		return ignoreAbsent(err)
	}
	slices.Sort(names)
	for _, n := range names {
		p := dir.Join(n)
		st, err := f.fs.Stat("versions", Place{Path: p, Version: true}.name())
		if err != nil {
			if Absent(err) {
				continue
			}
			return err
		}
		if st.Mode&modeType == modeDir {
			err = f.walkVersions(p, visit)
		} else if v, ok := parseVersion(p); ok {
			v.Stat = st
			err = visit(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list gives the place as a directory to list: "" is the top.
func (p Place) list() string { return strings.TrimSuffix(p.name(), "/") }

func ignoreAbsent(err error) error {
	if Absent(err) {
		return nil
	}
	return err
}

// Prune deletes versions that are older than maxAge (0: no limit), and then the oldest until the rest has at most maxBytes
// (0: no limit). It gives what it deleted, also when it ends with an error. Directories that are empty then go too.
func (f *Folder) Prune(now time.Time, maxAge time.Duration, maxBytes int64) (gone []Version, err error) {
	f.applyMu.Lock() // nobody moves a version into a directory that goes away
	defer f.applyMu.Unlock()
	all, err := f.ListVersions("")
	if err != nil {
		return nil, err
	}
	var total int64
	for _, v := range all { // the newest first
		total += v.Size()
		if (maxAge == 0 || now.Sub(v.Time) <= maxAge) && (maxBytes == 0 || total <= maxBytes) {
			continue
		}
		f.reader.forget(v.Place().name())
		if err := f.fs.Remove("prune", v.Place().name(), false); err != nil && !Absent(err) {
			return gone, fmt.Errorf("prune %s: %w", v.Path, err)
		}
		gone = append(gone, v)
	}
	f.pruneDirs(gone)
	return gone, nil
}

// pruneDirs removes directories that pruning has emptied; the others refuse.
func (f *Folder) pruneDirs(gone []Version) {
	for _, v := range gone {
		for d := v.Path.Dir(); d != ""; d = d.Dir() {
			if f.fs.Remove("prune", Place{Path: d, Version: true}.name(), true) != nil {
				break
			}
		}
	}
}

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// maxRules is how large an ignore file may become by [Folder.AddRule], in bytes.
const maxRules = 4 << 20

// Keep finishes the file, like [Partial.Finish], and makes it a version of what stands at of. It is durable when Keep
// returns, and no partial is left of it.
func (p *Partial) Keep(of event.Path, now time.Time) (Version, error) {
	if err := p.Finish(); err != nil {
		return Version{}, err
	}
	f := p.f
	f.applyMu.Lock()
	defer f.applyMu.Unlock()
	v, err := f.toVersions(make(map[string]bool), partialName(p.root), of, now)
	v.Root = p.root
	if err == nil {
		err = errors.Join(f.syncVersion(v), f.fs.Sync("keep", tmpDir))
	}
	if err != nil {
		return v, fmt.Errorf("keep %s as a version of %s: %w", p.root, of, err)
	}
	return v, nil
}

// syncVersion makes the name of v durable, and those of the directories above it.
func (f *Folder) syncVersion(v Version) error {
	for d := v.Path.Dir(); ; d = d.Dir() {
		if err := f.fs.Sync("keep", Place{Path: d, Version: true}.list()); err != nil || d == "" {
			return err
		}
	}
}

// Rules are the ignore rules that count now, in the order in which they were read: the last that matches decides.
func (f *Folder) Rules() []Rule {
	_, _ = f.Ignored(IgnoreFile, false) // reads them if that never happened
	g := f.rules.now.Load()
	if g.empty() {
		return nil
	}
	out := make([]Rule, 0, len(g.rules))
	for _, r := range g.rules {
		out = append(out, r.Rule)
	}
	return out
}

// CheckRule says what is wrong with a line of an ignore file, or nil.
func CheckRule(line string) error {
	s := trimLine([]byte(line))
	r, err := parseRule(s)
	if err == nil && (r.Pattern == "" || s == "") {
		err = errors.New("the line says nothing")
	}
	return err
}

// AddRule appends a line to the shared or the local ignore file, durably; the file is made if there is none. The line has
// been checked with [CheckRule] and holds no line break.
func (f *Folder) AddRule(local bool, line string) error {
	f.applyMu.Lock()
	defer f.applyMu.Unlock()
	name := IgnoreFile
	if local {
		name = IgnoreFileLocal
	}
	old, mode, err := f.readSmall(name)
	if err != nil {
		return fmt.Errorf("add a rule to %s: %w", name, err)
	}
	if n := len(old); n > 0 && old[n-1] != '\n' {
		old = append(old, '\n')
	}
	if err := f.replaceSmall(name, append(old, line+"\n"...), mode); err != nil {
		return fmt.Errorf("add a rule to %s: %w", name, err)
	}
	return nil
}

// readSmall reads a file at the root; one that is not there is empty.
func (f *Folder) readSmall(name string) ([]byte, uint32, error) {
	h, err := f.fs.Open("rules", name, ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0o644, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer h.Close() // only read
	st, err := h.Stat()
	if err != nil {
		return nil, 0, err
	}
	if st.Size > maxRules {
		return nil, 0, fmt.Errorf("it has more than %d bytes", maxRules)
	}
	b := make([]byte, st.Size)
	_, err = h.ReadAt(b, 0)
	return b, st.Mode & 0o777, err
}

// replaceSmall puts a file at the root into place in one step.
func (f *Folder) replaceSmall(name string, b []byte, mode uint32) error {
	const tmp = tmpDir + "/rules"
	if err := f.fs.Remove("rules", tmp, false); err != nil && !Absent(err) {
		return err
	}
	if err := f.writeTemp(tmp, b); err != nil {
		return err
	}
	if err := f.fs.Attr("rules", tmp, Attr{SetMode: true, Mode: mode}); err != nil {
		return err
	}
	err := f.fs.Rename("rules", tmp, name, NoReplace)
	if errors.Is(err, os.ErrExist) {
		if err = f.swap("rules", tmp, name); err == nil {
			err = f.fs.Remove("rules", tmp, false)
		}
	}
	if err != nil {
		return err
	}
	return f.fs.Sync("rules", ".")
}

// Stamp is the part of v's name that tells it from the other versions of its path: time and number.
func (v Version) Stamp() string {
	base := v.Path.Base()
	for i := len(base) - stampLen; i >= 0; i-- {
		if _, ok := parseStamp(base[i : i+stampLen]); ok {
			return base[i+1 : i+stampLen]
		}
	}
	return base
}

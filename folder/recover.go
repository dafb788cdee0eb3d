package folder

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// Intent is a step that was begun and not reported done, as the store remembers it.
type Intent struct {
	Path     event.Path
	Old, New event.Value
	OldStat  Stat // of Old, where it was live
}

// Fate says what Recover found at an intent's path.
type Fate uint8

// The fates.
const (
	Applied   Fate = iota + 1 // New stands there: the index may follow, with Stat
	Untouched                 // Old stands there: the step is to be done again
	Damaged                   // what we wrote did not survive: it was moved to the versions, the content has to come again
	Edited                    // somebody else wrote there: scan it
)

var fateNames = [...]string{Applied: "applied", Untouched: "untouched", Damaged: "damaged", Edited: "edited"}

// String is the fate's name in lower case.
func (f Fate) String() string {
	if f > 0 && int(f) < len(fateNames) {
		return fateNames[f]
	}
	return fmt.Sprintf("fate %d", uint8(f))
}

// Recovered is what Recover found and did at one path.
type Recovered struct {
	Path    event.Path
	Fate    Fate
	Stat    Stat     // Applied: the state that the index has to remember; zero for a deletion
	Version *Version // content that was found displaced or damaged, and kept
}

// Recover looks at every step that a crash may have cut, before anything is scanned. A file that carries the mtime which only we
// set, and other bytes than we wrote, is damage and never an edit. An error means that nothing can be said: *GuardError, or ctx's.
func (f *Folder) Recover(ctx context.Context, intents []Intent) ([]Recovered, error) {
	f.applyMu.Lock()
	defer f.applyMu.Unlock()
	if err := f.Check(); err != nil {
		return nil, err
	}
	r := recovery{f: f, now: time.Now(), made: make(map[string]bool), live: make(map[object]bool)}
	out := make([]Recovered, 0, len(intents))
	for _, in := range intents {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		got := Recovered{Path: in.Path}
		got.Fate, got.Stat = r.fate(ctx, in)
		out = append(out, got)
	}
	// Temporaries are judged when every path's fate is known: what lies in one may live on at another path.
	for i, in := range intents {
		r.settle(in, &out[i])
	}
	return out, nil
}

type recovery struct {
	f    *Folder
	now  time.Time
	made map[string]bool
	live map[object]bool // what stands at the intents' paths
}

func (r *recovery) fate(ctx context.Context, in Intent) (Fate, Stat) {
	now, err := r.f.fs.Stat("recover", string(in.Path))
	switch {
	case Absent(err) && !in.New.Live():
		return Applied, Stat{}
	case Absent(err) && !in.Old.Live():
		return Untouched, Stat{}
	case Absent(err) && r.swapBack(in):
		return Untouched, Stat{}
	case err != nil:
		return Edited, Stat{}
	}
	r.live[now.object()] = true
	kind, _ := now.Kind()
	if in.New.Live() && kind == in.New.Kind {
		if fate, ok := r.applied(ctx, in, now); ok {
			st, err := r.f.fs.Stat("recover", string(in.Path))
			if err != nil {
				return Edited, Stat{}
			}
			return fate, st
		}
	}
	if in.Old.Live() && now.moved(in.OldStat) {
		return Untouched, Stat{}
	}
	return Edited, Stat{}
}

// swapBack undoes an exchange that was made of three renames and cut in the middle.
func (r *recovery) swapBack(in Intent) bool {
	return r.f.fs.Rename("recover", tempName(in.Path)+swapSuffix, string(in.Path), NoReplace) == nil
}

// applied finds out whether New stands at the path, and finishes what is unfinished of its mode and mtime.
func (r *recovery) applied(ctx context.Context, in Intent, now Stat) (Fate, bool) {
	switch in.New.Kind {
	case event.Dir:
		return r.dir(in, now)
	case event.Link:
		return r.link(in, now)
	}
	return r.file(ctx, in, now)
}

func (r *recovery) dir(in Intent, now Stat) (Fate, bool) {
	if in.Old.Kind == event.Dir && now.moved(in.OldStat) && in.Old.Mode != in.New.Mode {
		return Untouched, false
	}
	return Applied, r.f.chmodDir(string(in.Path), now.Mode&0o7000|uint32(in.New.Mode)) == nil
}

func (r *recovery) link(in Intent, now Stat) (Fate, bool) {
	target, err := r.f.fs.ReadLink("recover", string(in.Path))
	if err != nil || target != in.New.Target {
		return Edited, false
	}
	if now.MTime == in.New.MTime {
		return Applied, true
	}
	if !in.Old.SameContent(in.New) || now.MTime != in.Old.MTime {
		return Edited, false
	}
	return Applied, r.f.fs.Attr("recover", string(in.Path), Attr{SetMTime: true, MTime: in.New.MTime}) == nil
}

func (r *recovery) file(ctx context.Context, in Intent, now Stat) (Fate, bool) {
	if in.Old.SameContent(in.New) {
		return r.meta(in, now)
	}
	if now.MTime != in.New.MTime || in.Old.Live() && now.moved(in.OldStat) {
		return Edited, false // Untouched, if it is Old
	}
	whole, err := r.holds(ctx, in, now)
	switch {
	case err != nil:
		return Edited, false // unreadable means unknown
	case whole:
		return Applied, now.Perm() == in.New.Mode
	}
	return Damaged, true
}

// meta finishes a change of mode and mtime that was cut in the middle.
func (r *recovery) meta(in Intent, now Stat) (Fate, bool) {
	ours := now.is(in.OldStat) && now.Size == in.OldStat.Size &&
		(now.MTime == in.OldStat.MTime || now.MTime == in.New.MTime) &&
		(now.Perm() == in.OldStat.Perm() || now.Perm() == in.New.Mode)
	return Applied, ours && r.f.fs.Attr("recover", string(in.Path), fileAttr(in.New)) == nil
}

func (r *recovery) holds(ctx context.Context, in Intent, now Stat) (bool, error) {
	if now.Size != in.New.Size {
		return false, nil
	}
	name := string(in.Path)
	h, err := r.f.fs.Open("recover", name, ReadOnly)
	if denied(err) { // its mode may keep its owner from reading it
		if err := r.f.fs.Attr("recover", name, Attr{SetMode: true, Mode: 0o400}); err != nil {
			return false, err
		}
		h, err = r.f.fs.Open("recover", name, ReadOnly)
		err = errors.Join(err, r.f.fs.Attr("recover", name, Attr{SetMode: true, Mode: now.Mode & 0o7777}))
	}
	if err != nil {
		if h != nil {
			_ = h.Close() // only read
		}
		return false, err
	}
	defer h.Close()
	return holds(ctx, h, in.New)
}

// settle puts damage away, and decides what becomes of the temporary.
func (r *recovery) settle(in Intent, got *Recovered) {
	if got.Fate == Damaged {
		got.Version = r.keep(string(in.Path), in.Path)
		got.Stat = Stat{}
	}
	if got.Fate == Applied && in.New.Kind == event.File {
		r.f.dropPartial(in.New.Root) // it may be another name of what stands there now
	}
	temp := tempName(in.Path)
	st, err := r.f.fs.Stat("recover", temp)
	if err != nil {
		return
	}
	// What was displaced is kept; what was staged and never used is not, nor a second name of something that lives.
	staged := got.Fate == Untouched && in.New.Live() || r.live[st.object()]
	isDir := st.Mode&modeType == modeDir
	if (staged || isDir) && r.f.fs.Remove("recover", temp, isDir) == nil {
		return
	}
	if v := r.keep(temp, in.Path); got.Version == nil {
		got.Version = v
	}
}

func (r *recovery) keep(name string, p event.Path) *Version {
	v, err := r.f.toVersions(r.made, name, p, r.now)
	if err != nil {
		r.f.log.Error("a displaced file stays where it is", "name", name, "err", err)
		return nil
	}
	return &v
}

// tmpAge is how old something in tmp must be before nobody can be working with it.
const tmpAge = 24 * time.Hour

// CleanTmp clears out .meerkat/tmp: unfinished files that are a day old and not wanted go; what was displaced and never reached
// the versions goes there. Call it after Recover. It gives how much it removed or moved, and of what it moved that of which is known what it holds.
func (f *Folder) CleanTmp(now time.Time, wanted func(chunker.ID) bool) (n int, kept []Version, err error) {
	f.applyMu.Lock()
	defer f.applyMu.Unlock()
	names, err := f.fs.List("clean tmp", tmpDir)
	if err != nil {
		return 0, nil, fmt.Errorf("clean %s: %w", tmpDir, err)
	}
	for _, name := range names {
		v, done := f.cleanOne(name, now, wanted)
		if done {
			n++
		}
		if !v.Root.IsZero() {
			kept = append(kept, v)
		}
	}
	return n, kept, nil
}

func (f *Folder) cleanOne(name string, now time.Time, wanted func(chunker.ID) bool) (v Version, done bool) {
	path := tmpDir + "/" + name
	st, err := f.fs.Stat("clean tmp", path)
	if err != nil {
		return v, false
	}
	old := now.Sub(time.Unix(0, st.CTime)) > tmpAge
	switch root, isRoot := parseRoot(name); {
	case isRoot:
		return v, old && !wanted(root) && f.fs.Remove("clean tmp", path, false) == nil
	case strings.HasPrefix(name, keepPrefix), old && strings.HasPrefix(name, tempPrefix):
		if st.Mode&modeType == modeDir {
			return v, f.fs.Remove("clean tmp", path, true) == nil
		}
		v, err := f.toVersions(make(map[string]bool), path, event.Path(lostDir).Join(name), now)
		v.Root = parkedRoot(name)
		return v, err == nil
	}
	return v, false
}

func parseRoot(name string) (id chunker.ID, ok bool) {
	b, err := hex.DecodeString(name)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return chunker.ID(b), true
}

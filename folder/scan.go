package folder

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// RacyWindow is how old a file's times must be before equal times mean an unchanged file.
const RacyWindow = 2 * time.Second

// Codes of problems that scanning finds.
const (
	CodeUnreadable = "unreadable"  // it cannot be read; what the pool has of it stays
	CodeSpecial    = "special"     // a device, FIFO or socket; never opened
	CodeUnstable   = "unstable"    // it kept changing while it was read: it has to be scanned again
	CodeVanished   = "vanished"    // it came or went while it was looked at: it has to be scanned again
	CodeIgnoreRule = "ignore_rule" // a line of an ignore file is not used
	CodeSubMount   = "sub_mount"   // another device than before stands there, or none: held until it is back
)

// Index is what a scan asks of the one who remembers. Its functions are called by several goroutines at once, and
// nothing else is called while Dir's yield runs. An error of theirs ends the scan.
type Index struct {
	// Dir yields the direct children of dir ("" is the root) that have a row, in the byte order of their names.
	Dir func(dir event.Path, yield func(name string, k Known) bool) error
	// At gives one row. It may be nil; then Dir is used, which costs a directory for each dirty path.
	At func(p event.Path) (Known, bool, error)
	// Hint gives the class of the content that the pool has at p, so that equal files get equal roots. It may be nil.
	Hint func(p event.Path) (chunker.Class, bool)
	// Manifest gives the chunks of a content that a row names. It may be nil: then the files of a renamed directory are read.
	Manifest func(root chunker.ID) (chunker.Manifest, bool, error)
	// Accept says that the person has confirmed that dir lies on another device now. It may be nil: nothing is confirmed.
	Accept func(dir event.Path) bool
}

// Dirty is a path that may have changed.
type Dirty struct {
	Path  event.Path // "" is the root
	Below bool       // a directory that is known is looked through as well; one that is not known always is
}

// Only says how little has changed about a path.
type Only string

const (
	// OnlyStat: the value is what the index knows; its Stat or Racy is not.
	OnlyStat Only = "stat"
	// OnlyLeft: a deleted directory that stayed here for ignored or special things is empty now, and may go.
	OnlyLeft Only = "left"
)

// Seen is one path where the disk and the index differ.
type Seen struct {
	Path     event.Path
	Value    event.Value      // Kind Tomb when Gone; undefined when Ignored
	Manifest chunker.Manifest // of a file
	Stat     Stat
	Racy     bool // the file changed less than RacyWindow ago: look again when it is older
	Gone     bool
	Ignored  bool // the rules ignore it now: forget the row, say nothing to anybody
	Only     Only
}

// Progress is how far a scan has come.
type Progress struct {
	Dirs, Files int64 // looked at
	Hashed      int64 // files read
	Bytes       int64 // of those, and read so far of the one under way
}

// young says whether st was changed so shortly before or after now that another change could leave the same times.
func young(st Stat, now time.Time) bool {
	near := func(ns int64) bool {
		d := now.Sub(time.Unix(0, ns))
		return -RacyWindow < d && d < RacyWindow
	}
	return near(st.MTime) || near(st.CTime)
}

// Scan compares the disk with the index, for dirty paths or for everything (dirty nil), and hands what differs to emit:
// in batches of at most 512, from one goroutine at a time, as it goes, each directory before what is in it, and what is
// gone last, children first. emit owns its slice; its error ends the scan. progress (may be nil) is told about ten times
// a second.
//
// Nothing is gone unless its parent could be read, on the device where the index knew it, with the guards of Check
// satisfied before and after. Trouble with one path is a Problem; paths with CodeUnstable and CodeVanished have to be
// scanned again. Where the ignore rules have changed everything is scanned. Scan blocks, and leaves no goroutine behind.
func (f *Folder) Scan(ctx context.Context, ix Index, dirty []Dirty, emit func([]Seen) error, progress func(Progress)) ([]Problem, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	changed, bad, err := f.rules.reload(f.fs, &f.rules.scanned)
	if err != nil {
		return nil, err
	}
	if changed {
		dirty = nil
	}
	s := newScan(f, ix, emit, progress)
	s.problems = append(s.problems, bad...)
	if err := s.passes(ctx, dirty); err != nil {
		return nil, err
	}
	if err := s.emitGone(ctx); err != nil {
		return nil, err
	}
	s.tell()
	return s.problems, nil
}

// scan is one call of Scan.
type scan struct {
	f        *Folder
	t        tree
	ix       Index
	rules    *Ignore
	emit     func([]Seen) error
	progress func(Progress)
	big      chan struct{} // held by the one that cuts a big file with all workers

	dirs, files, hashed, bytes atomic.Int64

	mu       sync.Mutex
	problems []Problem
	absent   map[event.Path]lost
	again    map[event.Path]bool
	moved    map[uint64]uint64 // devices that have another number now
}

// lost is something that the index has and the disk has not.
type lost struct {
	known Known
	dev   uint64 // of the directory that it was in
	below bool   // it is there as another kind: only what was below it is gone

	special bool // a device, FIFO or socket stands there
}

func newScan(f *Folder, ix Index, emit func([]Seen) error, progress func(Progress)) *scan {
	if progress == nil {
		progress = func(Progress) {}
	}
	moved := map[uint64]uint64{}
	if f.was != 0 && f.was != f.dev {
		moved[f.was] = f.dev
	}
	return &scan{
		f: f, t: f.tree(), ix: ix, rules: f.rules.now.Load(), emit: emit, progress: progress, big: make(chan struct{}, 1),
		absent: map[event.Path]lost{}, again: map[event.Path]bool{}, moved: moved,
	}
}

// maxPasses is how often one scan looks at a path that comes and goes.
const maxPasses = 3

// passes scans until nothing moved on while it was looked at, or patience ends.
func (s *scan) passes(ctx context.Context, dirty []Dirty) error {
	if dirty == nil {
		dirty = []Dirty{{Below: true}}
	}
	for range maxPasses {
		if err := s.pass(ctx, dirty); err != nil {
			return err
		}
		s.recheck()
		if dirty = s.takeAgain(); len(dirty) == 0 {
			return nil
		}
	}
	for _, d := range dirty {
		s.problem(d.Path, CodeVanished, "it came or went while it was looked at", "it is looked at again")
	}
	return nil
}

func (s *scan) takeAgain() []Dirty {
	var dirty []Dirty
	for p := range s.again {
		dirty = append(dirty, Dirty{Path: p, Below: true})
	}
	clear(s.again)
	return dirty
}

// recheck takes back what is there after all: a directory that is read while names move in it may not show them.
func (s *scan) recheck() {
	for p, l := range s.absent {
		st, err := s.t.lstat(p)
		switch {
		case Absent(err), err == nil && l.gone(st):
			continue
		case err == nil:
			s.again[p] = true
		default:
			s.trouble(p, err)
		}
		delete(s.absent, p)
	}
}

// gone says whether what was lost is so, though st stands at its path.
func (l lost) gone(st Stat) bool {
	_, ok := st.Kind()
	return l.below && st.Mode&modeType != modeDir || l.special && !ok
}

func (s *scan) tell() {
	s.progress(Progress{Dirs: s.dirs.Load(), Files: s.files.Load(), Hashed: s.hashed.Load(), Bytes: s.bytes.Load()})
}

func (s *scan) problem(p event.Path, code, message, hint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, Problem{Path: p, Code: code, Message: message, Hint: hint})
}

// trouble reports what could not be read. Nothing is concluded from it.
func (s *scan) trouble(p event.Path, err error) {
	s.problem(p, CodeUnreadable, "cannot be read: "+cause(err), "let the user that runs meerkat read it, or ignore it with "+IgnoreFile)
}

// cause is an error without the path, which the problem names already.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

func (s *scan) retry(p event.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again[p] = true
}

func (s *scan) lose(p event.Path, l lost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent[p] = l
}

package folder

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// Result says what became of a step.
type Result uint8

// The results. Only Done and Kept mean that the index may follow.
const (
	Done    Result = iota + 1 // the path is as wanted, durably; Stat says how it looks
	Kept                      // a deleted directory stays because it holds ignored or special things: the deletion counts as applied
	Changed                   // the disk is not as the index says; nothing of it was touched: scan Dirty
	Waits                     // something else must come first: a parent, or children (scan Dirty)
	Lacking                   // no place holds the content (any more): fetch it
	Blocked                   // Problem says why; try again later
)

var resultNames = [...]string{Done: "done", Kept: "kept", Changed: "changed", Waits: "waits", Lacking: "lacking", Blocked: "blocked"}

// String is the result's name in lower case.
func (r Result) String() string {
	if r > 0 && int(r) < len(resultNames) {
		return resultNames[r]
	}
	return fmt.Sprintf("result %d", uint8(r))
}

// Outcome tells what Apply did at one path.
type Outcome struct {
	Path    event.Path
	Result  Result
	Stat    Stat         // Done: the state that the index has to remember; zero for a deletion. Kept: of the directory
	Racy    bool         // Done: a local edit could hide behind Stat; have the content hashed again
	Version *Version     // the content that stood there and was kept, nil when none was
	Dirty   []event.Path // what has to be scanned now
	Problem Problem      // Blocked and Kept: why
}

// Options are the questions that Apply asks its caller. Each may be nil.
type Options struct {
	// Begin is told which steps will be carried out, when all their content is on the disk and before any name changes.
	// It writes the intents; its error stops the batch with nothing changed.
	Begin func([]Step) error
	// Known reports whether the index has a row for a path: what lies on the disk and is unknown is never removed.
	Known func(event.Path) bool
	// Ignored reports whether a path is none of the pool's business. Nil: what the folder's own rules say.
	Ignored func(p event.Path, dir bool) bool
}

func (o Options) withDefaults(f *Folder) Options {
	if o.Begin == nil {
		o.Begin = func([]Step) error { return nil }
	}
	if o.Known == nil {
		o.Known = func(event.Path) bool { return false }
	}
	if o.Ignored == nil {
		o.Ignored = func(p event.Path, dir bool) bool { ok, _ := f.Ignored(p, dir); return ok }
	}
	return o
}

// Apply carries out the steps of one batch (about a thousand at most is kind to the disk) and gives one outcome a step, in the
// order of steps. Everything is checked against the index right before it is changed, everything new is durable before it gets
// its name, and what was there is moved away, looked at, and kept as a version. Trouble with one path is an outcome
// and does not stop the others. An error means that nothing was changed: *GuardError, Begin's, or ctx's; ctx counts only until Begin.
func (f *Folder) Apply(ctx context.Context, steps []Step, o Options) ([]Outcome, error) {
	f.applyMu.Lock()
	defer f.applyMu.Unlock()
	if err := f.Check(); err != nil {
		return nil, err
	}
	b := newBatch(f, steps, o.withDefaults(f))
	defer b.clean()
	if err := b.stage(ctx); err != nil {
		return nil, fmt.Errorf("stage a batch: %w", err)
	}
	b.syncContent()
	if err := b.begin(); err != nil {
		return nil, fmt.Errorf("begin a batch: %w", err)
	}
	b.commit()
	b.dispose()
	b.lock()
	b.modes()
	b.finish(context.WithoutCancel(ctx))
	b.syncNames()
	return b.outcomes(), nil
}

// object names what lies at a path, whatever its name.
type object struct{ dev, ino uint64 }

func (s Stat) object() object { return object{s.Dev, s.Ino} }

// wide is the number of steps from which one syncfs costs less than many fsyncs.
const wide = 32

// batch is one Apply under way.
type batch struct {
	f      *Folder
	o      Options
	now    time.Time
	work   []*work             // ordered: a directory right before what is below it
	given  []*work             // in the caller's order
	at     map[event.Path]int  // place in work
	taken  map[object]bool     // files that a committed step took over: their content has a home
	dirs   map[string]struct{} // whose names changed
	made   map[string]bool     // directories below versions that exist
	opened map[string]opened   // directories that are writable for this batch only

	fetched roots // partials that a step has taken

	mu      sync.Mutex
	touched map[object]bool // objects whose ctime was changed by us: guarded by mu while staging
}

// work is one step under way.
type work struct {
	Step
	name   string // Path, as the file system seam takes it
	temp   string // in tmp: first what is to come, after an exchange what was there
	before Stat   // what check found at the path
	staged Stat   // what lies at temp, ready; zero when nothing does
	unsync bool   // staged is not durable yet
	out    Stat   // what was moved from the path to temp; zero when nothing was
	final  Stat   // what must stand at the path in the end, apart from the ctime
	twin   bool   // another path of the batch is the same name to this file system
	adopt  bool   // the wanted directory stands there already
	done   bool   // the step was tried
	result Outcome
}

func newBatch(f *Folder, steps []Step, o Options) *batch {
	b := &batch{
		f: f, o: o, now: time.Now(), at: make(map[event.Path]int, len(steps)),
		taken: make(map[object]bool), dirs: make(map[string]struct{}), made: make(map[string]bool),
		opened: make(map[string]opened), touched: make(map[object]bool),
	}
	for _, s := range steps {
		w := &work{Step: s, name: string(s.Path), temp: tempName(s.Path), result: Outcome{Path: s.Path}}
		b.given = append(b.given, w)
	}
	b.work = slices.Clone(b.given)
	slices.SortStableFunc(b.work, func(x, y *work) int { return ComparePaths(x.Path, y.Path) })
	for i, w := range b.work {
		b.admit(i, w)
	}
	return b
}

// admit refuses paths that must never be touched, and all but the first step at a path.
func (b *batch) admit(i int, w *work) {
	if _, twice := b.at[w.Path]; twice {
		b.block(w, Problem{Code: CodeFailed, Message: "two steps at one path", Hint: "it is tried again"})
		w.temp = ""
		return
	}
	b.at[w.Path] = i
	if _, err := event.ParsePath([]byte(w.Path)); err != nil || reserved(w.Path) {
		b.block(w, Problem{Code: CodeName, Message: "the name is not allowed", Hint: "rename it on another member"})
	}
}

// reserved reports whether p leads into the node's own directory on a system that does not tell capitals apart.
func reserved(p event.Path) bool {
	first, _, _ := strings.Cut(string(p), "/")
	return runtime.GOOS != "linux" && strings.EqualFold(first, metaDir)
}

// tempName is where a path's new content waits, and where its old one goes: found again after a crash by the path alone.
func tempName(p event.Path) string {
	id := chunker.Sum([]byte(p))
	return tmpDir + "/" + tempPrefix + hex.EncodeToString(id[:16])
}

const (
	tempPrefix = "x-"    // built or displaced by Apply
	keepPrefix = "keep-" // displaced, and could not be brought to the versions yet
)

func (b *batch) outcomes() []Outcome {
	out := make([]Outcome, len(b.given))
	for i, w := range b.given {
		out[i] = w.result
	}
	return out
}

// open reports whether w has no outcome yet.
func (w *work) open() bool { return w.result.Result == 0 }

// deletes reports whether nothing is to stand at the path.
func (w *work) deletes() bool { return !w.Want.Live() }

// was is the kind of thing that the index has at the path.
func (w *work) was() event.Kind {
	if !w.Have.live() {
		return event.Tomb
	}
	return w.Have.Value.Kind
}

func (b *batch) block(w *work, p Problem) {
	p.Path = w.Path
	w.result.Result, w.result.Problem = Blocked, p
}

// fail turns an error at w's path into its outcome.
func (b *batch) fail(w *work, err error) {
	if Absent(err) {
		b.noParent(w)
		return
	}
	b.block(w, ProblemFor(w.Path, err))
}

// changed says that the disk is not as the index has it.
func (b *batch) changed(w *work, more ...event.Path) {
	w.result.Result = Changed
	w.result.Dirty = append([]event.Path{w.Path}, more...)
}

// noParent says that the directory which should hold w is not there, or is something else.
func (b *batch) noParent(w *work) {
	w.result.Result = Waits
	w.result.Problem = Problem{Path: w.Path, Code: CodeParent, Message: "its directory is not there yet", Hint: "it is tried again"}
	if d := w.Path.Dir(); d != "" {
		w.result.Dirty = []event.Path{d}
	}
}

// begin lets the caller write the intents.
func (b *batch) begin() error {
	var steps []Step
	for _, w := range b.work {
		if w.open() {
			steps = append(steps, w.Step)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	return b.o.Begin(steps)
}

// clean removes what was staged and not used. What is not ours any more is put aside, never removed.
func (b *batch) clean() {
	b.lock()
	for _, w := range b.work {
		if w.temp == "" || w.staged == (Stat{}) {
			continue
		}
		st, err := b.f.fs.Stat("clean", w.temp)
		switch {
		case err != nil:
		case st.is(w.staged):
			b.drop(w)
		default:
			_ = b.f.park(w.temp, w.Path, w.holds()) // it is logged, and tried again
		}
	}
}

// drop removes the unused temporary of w. A file that Fetch had finished keeps its own name in tmp.
func (b *batch) drop(w *work) {
	if err := b.f.fs.Remove("clean", w.temp, w.staged.Mode&modeType == modeDir); err != nil && !Absent(err) {
		b.f.log.Warn("a temporary stays", "temp", w.temp, "err", errors.Unwrap(err))
	}
}

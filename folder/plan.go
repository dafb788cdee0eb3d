package folder

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// Have is what the index says of a path. Exists false: nothing is known, and nothing may lie there.
type Have struct {
	Value  event.Value
	Stat   Stat
	Exists bool
}

// live reports whether something must lie at the path.
func (h Have) live() bool { return h.Exists && h.Value.Live() }

// Local is a file on this disk that holds a whole content, in the state that the index knows.
type Local struct {
	Place
	Stat Stat
}

// Want is one path that is not yet as the pool has it.
type Want struct {
	Path  event.Path
	Have  Have
	Value event.Value
	Local []Local // where Value's content lies already: other paths and versions; may be nil
	Ready How     // Staged or Fetched when the content was brought already, else zero
}

// How says where the content for a path comes from.
type How uint8

// The sources, the cheapest first.
const (
	None    How = iota // no content is needed: a directory, a link, an empty file, a deletion
	InPlace            // it is there; only mode or mtime change
	Move               // the file From[0] has it, mode and mtime too, and goes away in this plan
	Staged             // Stage has written it
	Fetched            // a Partial of that root was finished
	Copy               // one of From has it
	Fetch              // no place on this disk has it: Apply answers Lacking
)

// Step is one path to be changed.
type Step struct {
	Path event.Path
	Have Have
	Want event.Value
	How  How
	From []Local // Move, Copy: tried in order
}

// maxFrom bounds the places that a step tries.
const maxFrom = 4

// Plan decides where the content of each path comes from, and the order of the steps: parents before children. It touches
// nothing and keeps no slice. Whatever moves between paths of one call is renamed and not copied, so a rename should
// be planned in one call; the order in which Apply carries out the parts of a swap, a rotation or a chain does not matter.
func Plan(wants []Want) []Step {
	s := newSources(wants)
	steps := make([]Step, 0, len(wants))
	for _, w := range wants {
		steps = append(steps, Step{Path: w.Path, Have: w.Have, Want: w.Value})
	}
	// Moves first: a file can be taken only once, and who gets it whole must not find it promised for a copy.
	for i, w := range wants {
		steps[i].How, steps[i].From = s.pick(w)
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return ComparePaths(a.Path, b.Path) })
	return steps
}

// ComparePaths orders paths so that a directory comes right before everything below it.
func ComparePaths(a, b event.Path) int {
	for {
		x, restA, moreA := strings.Cut(string(a), "/")
		y, restB, moreB := strings.Cut(string(b), "/")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		if !moreA || !moreB {
			return cmp.Compare(len(restA), len(restB))
		}
		a, b = event.Path(restA), event.Path(restB)
	}
}

// look is a file with all that a rename keeps.
type look struct {
	root  chunker.ID
	mode  uint16
	mtime int64
}

// sources are the files whose content leaves its path in this plan.
type sources struct {
	exact map[look][]Local       // not yet taken
	by    map[chunker.ID][]Local // taken or not: they may be copied before anything moves
}

func newSources(wants []Want) sources {
	s := sources{exact: make(map[look][]Local), by: make(map[chunker.ID][]Local)}
	for _, w := range wants {
		v := w.Have.Value
		if !w.Have.live() || v.Kind != event.File || v.Size == 0 || v.SameContent(w.Value) {
			continue
		}
		l := Local{Place: Place{Path: w.Path}, Stat: w.Have.Stat}
		k := look{v.Root, v.Mode, v.MTime}
		s.exact[k] = append(s.exact[k], l)
		s.by[v.Root] = append(s.by[v.Root], l)
	}
	return s
}

func (s sources) pick(w Want) (How, []Local) {
	v := w.Value
	switch {
	case w.Have.live() && v.SameContent(w.Have.Value):
		return InPlace, nil
	case v.Kind != event.File || v.Size == 0:
		return None, nil
	}
	others := slices.Concat(s.by[v.Root], w.Local)
	if l, ok := s.take(w); ok {
		return Move, atMost(append([]Local{l}, others...))
	}
	if w.Ready == Staged || w.Ready == Fetched {
		return w.Ready, atMost(others)
	}
	if len(others) > 0 {
		return Copy, atMost(others)
	}
	return Fetch, nil
}

// take gives a file that becomes w's by renaming, the one with the same name where there are several.
func (s sources) take(w Want) (Local, bool) {
	k := look{w.Value.Root, w.Value.Mode, w.Value.MTime}
	free := s.exact[k]
	if len(free) == 0 {
		return Local{}, false
	}
	i := max(0, slices.IndexFunc(free, func(l Local) bool { return l.Path.Base() == w.Path.Base() }))
	l := free[i]
	s.exact[k] = slices.Delete(free, i, i+1)
	return l, true
}

func atMost(l []Local) []Local { return l[:min(len(l), maxFrom)] }

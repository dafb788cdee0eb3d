package folder

import (
	"strings"

	"github.com/bwaklog/meerkat/event"
)

// The files at the root of a folder that hold its ignore rules, in the syntax of gitignore. Where both decide, the
// local one does.
const (
	IgnoreFile      = ".meerkatignore"       // an ordinary synced file
	IgnoreFileLocal = ".meerkatignore.local" // stays on its node
)

// Rule is the line of an ignore file that decided about a path. The zero Rule: no line did.
type Rule struct {
	File    string // its name; "" for the two rules that are built in
	Line    int    // counted from one; 0 for a built-in rule
	Pattern string // as written, with "!" and trailing slash
}

// Ignore is a compiled set of ignore rules. It is immutable, its methods may be called by several goroutines at once
// and touch no disk. A nil *Ignore holds the built-in rules alone.
//
// The rules mean what they mean to git: the last line that matches decides, "!" brings back, a line with a slash
// before its end is tied to the root, a line that ends in a slash matches directories alone, and nothing below an
// ignored directory can be brought back. Files further down are not read for rules.
type Ignore struct {
	rules []rule
	names map[string]last // rules that are one literal base name
	paths map[string]last // rules that are one literal path
	tails map[string]last // rules like "*.o"
	sizes []int           // the different lengths of the keys of tails
	open  []int           // other rules, last first
	ends  [256][]int      // other rules that end in a literal byte, by that byte, last first
}

// rule is one usable line.
type rule struct {
	Rule
	glob     glob
	negated  bool
	dirOnly  bool
	baseOnly bool // matched against the base name alone
}

// last holds, one-based, the last rule of its kind: of those that match anything, and of those for directories.
type last struct{ any, dir int }

func (l last) of(dir bool) int {
	if dir {
		return max(l.any, l.dir)
	}
	return l.any
}

// Match says whether the path p, a directory or not, is ignored, and the rule that decided: for a path below an
// ignored directory the one that ignores the directory; for one that "!" brought back that line.
func (g *Ignore) Match(p event.Path, dir bool) (bool, Rule) {
	s := string(p)
	for i := 0; i < len(s); i++ {
		if s[i] != '/' {
			continue
		}
		if ignored, r := g.one(s[:i], true); ignored {
			return true, r
		}
	}
	return g.one(s, dir)
}

func (g *Ignore) empty() bool { return g == nil || len(g.rules) == 0 }

// one decides about a path whose parents are not ignored.
func (g *Ignore) one(path string, dir bool) (bool, Rule) {
	if path == metaDir || path == IgnoreFileLocal {
		return true, Rule{Pattern: "/" + path}
	}
	if g.empty() {
		return false, Rule{}
	}
	n := g.lastMatch(path, dir)
	if n == 0 {
		return false, Rule{}
	}
	r := &g.rules[n-1]
	return !r.negated, r.Rule
}

// lastMatch is the one-based number of the last rule that matches path, or 0. Literal rules are looked up, so that
// a file of ten thousand of them costs no more than a short one.
func (g *Ignore) lastMatch(path string, dir bool) int {
	base := path[strings.LastIndexByte(path, '/')+1:]
	best := max(g.names[base].of(dir), g.paths[path].of(dir))
	for _, n := range g.sizes {
		if n <= len(base) {
			best = max(best, g.tails[base[len(base)-n:]].of(dir))
		}
	}
	best = g.search(g.open, best, path, base, dir)
	return g.search(g.ends[path[len(path)-1]], best, path, base, dir)
}

// search looks through list, which is sorted last rule first, for a match after best.
func (g *Ignore) search(list []int, best int, path, base string, dir bool) int {
	for _, n := range list {
		if n <= best {
			break
		}
		r := &g.rules[n-1]
		if r.dirOnly && !dir {
			continue
		}
		s := path
		if r.baseOnly {
			s = base
		}
		if r.glob.match(s) {
			return n
		}
	}
	return best
}

// index files rule number n, one-based, where lastMatch finds it.
func (g *Ignore) index(n int) {
	r := &g.rules[n-1]
	if s, ok := r.glob.literal(); ok && r.baseOnly {
		note(g.names, s, r.dirOnly, n)
	} else if ok {
		note(g.paths, s, r.dirOnly, n)
	} else if s, ok := r.glob.suffix(); ok && r.baseOnly {
		if _, known := g.tails[s]; !known {
			g.addSize(len(s))
		}
		note(g.tails, s, r.dirOnly, n)
	} else if b, ok := r.glob.end(); ok {
		g.ends[b] = append(g.ends[b], n)
	} else {
		g.open = append(g.open, n)
	}
}

func (g *Ignore) addSize(n int) {
	for _, have := range g.sizes {
		if have == n {
			return
		}
	}
	g.sizes = append(g.sizes, n)
}

func note(m map[string]last, key string, dirOnly bool, n int) {
	l := m[key]
	if dirOnly {
		l.dir = max(l.dir, n)
	} else {
		l.any = max(l.any, n)
	}
	m[key] = l
}

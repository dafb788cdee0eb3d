package folder

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

const (
	maxIgnoreFile = 1 << 20 // bytes read of one ignore file
	maxPattern    = 4096    // a longer line cannot match any path that a pool holds
)

// IgnoreSource is one ignore file's name and bytes.
type IgnoreSource struct {
	Name string
	Data []byte
}

// CompileIgnore compiles the lines of files, later files and lines over earlier ones. A line that is no pattern is
// left out and reported by its number (code "ignore_rule"); the others count. Of a file beyond 1 MiB the lines of the
// first MiB count.
func CompileIgnore(files ...IgnoreSource) (*Ignore, []Problem) {
	g := &Ignore{names: map[string]last{}, paths: map[string]last{}, tails: map[string]last{}}
	var bad []Problem
	for _, f := range files {
		bad = append(bad, g.add(f)...)
	}
	for n := len(g.rules); n > 0; n-- {
		g.index(n)
	}
	return g, bad
}

func (g *Ignore) add(f IgnoreSource) (bad []Problem) {
	data := bytes.TrimPrefix(f.Data, []byte("\xef\xbb\xbf"))
	if len(data) > maxIgnoreFile {
		data = data[:maxIgnoreFile]
		data = data[:bytes.LastIndexByte(data, '\n')+1]
		bad = append(bad, badRule(f.Name, "is longer than 1 MiB; the rest of it is not used"))
	}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		r, err := parseRule(trimLine(line))
		if err != nil {
			bad = append(bad, badRule(f.Name, fmt.Sprintf("line %d, %q, is not used: %v", n, shown(line), err)))
		}
		if err != nil || r.Pattern == "" {
			continue
		}
		r.File, r.Line = f.Name, n
		g.rules = append(g.rules, r)
	}
	return bad
}

func badRule(file, message string) Problem {
	return Problem{
		Path: event.Path(file), Code: "ignore_rule", Message: file + " " + message,
		Hint: "correct the line; its syntax is that of gitignore",
	}
}

// shown is a line as a message shows it.
func shown(line []byte) []byte {
	line = bytes.TrimRight(line, "\r\n")
	return line[:min(len(line), 80)]
}

// trimLine takes off the line's end, and the trailing spaces that no backslash protects.
func trimLine(line []byte) string {
	s := strings.TrimSuffix(string(line), "\n")
	s = strings.TrimSuffix(s, "\r")
	if strings.HasPrefix(s, "#") {
		return ""
	}
	end := 0
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' {
			continue
		}
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		end = i + 1
	}
	return s[:end]
}

// parseRule reads a trimmed line. An empty Pattern without an error is a line that says nothing.
func parseRule(s string) (r rule, err error) {
	if len(s) > maxPattern {
		return rule{}, fmt.Errorf("it is longer than %d bytes", maxPattern)
	}
	if strings.IndexByte(s, 0) >= 0 {
		return rule{}, fmt.Errorf("it holds a NUL byte")
	}
	r.Pattern = s
	s, r.negated = strings.CutPrefix(s, "!")
	s, r.dirOnly = strings.CutSuffix(s, "/")
	r.baseOnly = !strings.Contains(s, "/")
	s = strings.TrimPrefix(s, "/")
	if s == "" && r.Pattern != "" {
		return rule{}, fmt.Errorf("it names nothing")
	}
	r.glob, err = compileGlob(s)
	return r, err
}

// ruleBook holds the rules that count now.
type ruleBook struct {
	now atomic.Pointer[Ignore] // nil until the files were read once

	loading sync.Mutex // guards the rest, and is held while the files are read: two readers would undo each other
	stats   [2]Stat
	sums    [2]chunker.ID
	bad     []Problem
	number  int // of the rules that count now, from one
	told    int // the number that ReloadIgnore spoke of last
	scanned int // the number that the last scan followed
}

// Ignored says whether p, a directory or not, is ignored, and by which rule. The rules are those of the last scan or
// ReloadIgnore; they are read here only if they never were. While they cannot be read at all everything counts as
// ignored, so that nothing is touched that a rule protects.
func (f *Folder) Ignored(p event.Path, dir bool) (bool, Rule) {
	g := f.rules.now.Load()
	if g == nil {
		if _, _, err := f.rules.reload(f.fs, new(int)); err != nil {
			return true, Rule{File: IgnoreFile, Pattern: "cannot be read"}
		}
		g = f.rules.now.Load()
	}
	return g.Match(p, dir)
}

// ReloadIgnore reads the ignore files where they have changed. It says whether the rules are others than at the call
// before (never true the first time), and which lines are not used. After an error the rules before stay.
func (f *Folder) ReloadIgnore() (changed bool, bad []Problem, err error) {
	return f.rules.reload(f.fs, &f.rules.told)
}

// reload reads what has changed, and says whether the rules have another number than *told, which it brings up to date:
// each of those who ask is told of each change.
func (b *ruleBook) reload(disk FS, told *int) (changed bool, bad []Problem, err error) {
	b.loading.Lock()
	defer b.loading.Unlock()
	if err := b.refresh(disk); err != nil {
		return false, nil, err
	}
	changed = *told != 0 && *told != b.number
	*told = b.number
	return changed, b.bad, nil
}

// refresh loads the files if they have changed, or might have within the granularity of their times.
func (b *ruleBook) refresh(disk FS) (err error) {
	var stats [2]Stat
	for i, name := range ignoreFiles {
		if stats[i], err = disk.Stat("ignore file", name); err != nil && !Absent(err) {
			return fmt.Errorf("ignore rules: %w", err)
		}
	}
	now := time.Now()
	if b.now.Load() != nil && stats == b.stats && !young(stats[0], now) && !young(stats[1], now) {
		return nil
	}
	if err := b.load(disk, stats); err != nil {
		return err
	}
	b.stats = stats
	return nil
}

var ignoreFiles = [2]string{IgnoreFile, IgnoreFileLocal}

// load reads and compiles both files.
func (b *ruleBook) load(disk FS, stats [2]Stat) (err error) {
	var files [2]IgnoreSource
	var sums [2]chunker.ID
	var odd []Problem
	for i, name := range ignoreFiles {
		files[i].Name = name
		if kind, _ := stats[i].Kind(); kind == event.File {
			files[i].Data, err = readIgnore(disk, name)
		} else if stats[i].Mode != 0 {
			odd = append(odd, badRule(name, "is not a regular file, and is not used"))
		}
		if err != nil && !Absent(err) {
			return fmt.Errorf("ignore rules: %w", err)
		}
		sums[i] = chunker.Sum(files[i].Data)
	}
	g, bad := CompileIgnore(files[:]...)
	b.bad = append(odd, bad...)
	if b.now.Load() != nil && sums == b.sums {
		return nil
	}
	b.sums = sums
	b.number++
	b.now.Store(g) // one set of rules is one pointer: the watcher sees by it whether they are others
	return nil
}

// readIgnore reads as much of an ignore file as counts, and a byte more.
func readIgnore(disk FS, name string) ([]byte, error) {
	f, err := disk.Open("ignore file", name, ReadOnly)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	return io.ReadAll(io.NewSectionReader(f, 0, maxIgnoreFile+1))
}

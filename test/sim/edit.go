package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Person edits folders as people do, and tells the model. Whatever a folder shows when it is edited counts as seen. Its
// methods may be called by many goroutines.
type Person struct {
	Say func(format string, args ...any) // tells what is done

	mu    sync.Mutex
	dice  *rand.Rand
	model *Model
	ticks int64
}

// NewPerson makes a person who decides by dice.
func NewPerson(dice *rand.Rand, m *Model) *Person {
	return &Person{dice: dice, model: m, Say: func(string, ...any) {}}
}

var (
	places = []string{"", "", "d", "d", "e", "d/s"}
	names  = []string{"f", "g", "h.txt", "d", "s"}
)

// Edit does one thing in m's folder; a thing that cannot be done there is not. midway: the node is at work there at
// this moment. Then no file is ever half written, and what is taken away may come back, because the node may not have
// noted yet that it was there.
func (p *Person) Edit(m *Machine, midway bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := hand{p, m, midway || m.forgetful}
	err := h.one()
	if errors.Is(err, errSkip) {
		return nil
	}
	return err
}

// Forgotten says that m lost its state. What was taken away there and not yet published, and what is taken away before
// the state is back, may rightly come back: what a machine does not know of it cannot miss.
func (p *Person) Forgotten(m *Machine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.model.Doubt(m.Name)
	m.forgetful = true
}

// errSkip says that a thing makes no sense in this folder.
var errSkip = errors.New("nothing to do")

// hand is a person at a machine.
type hand struct {
	*Person
	m      *Machine
	unsure bool // what is taken away may come back
}

func (h hand) one() error {
	switch n := h.dice.IntN(100); {
	case n < 35:
		return h.write(h.somewhere())
	case n < 50:
		return h.remove(h.something())
	case n < 65:
		return h.rename(h.something(), h.somewhere())
	case n < 73:
		return h.copy(h.something(), h.somewhere())
	case n < 82:
		return h.chmod(h.something())
	case n < 89:
		return h.mkdir(h.somewhere())
	case n < 94:
		return h.link(h.somewhere())
	default:
		return h.touch(h.something())
	}
}

// somewhere is a path that may be there or not.
func (h hand) somewhere() string {
	return path.Join(places[h.dice.IntN(len(places))], names[h.dice.IntN(len(names))])
}

// something is a path that is there, or "".
func (h hand) something() string {
	var all []string
	_ = filepath.WalkDir(h.m.Dir, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(h.m.Dir, p)
		switch {
		case err != nil || rel == ".":
			return nil //nolint:nilerr // gone meanwhile
		case rel == ".meerkat":
			return fs.SkipDir
		case strings.Contains(rel, "~meerkat"):
			return nil
		}
		all = append(all, rel)
		return nil
	})
	if len(all) == 0 {
		return ""
	}
	return all[h.dice.IntN(len(all))]
}

func (h hand) at(p string) string { return filepath.Join(h.m.Dir, p) }

// drop tells the model that a value is taken away.
func (h hand) drop(p, value string) {
	h.model.Drop(h.m.Name, p, value)
	if h.unsure {
		h.model.Touch(value)
	}
}

// clear takes away what stands at p, whatever it is, and says so to the model.
func (h hand) clear(p string) error {
	err := h.below(p, h.drop)
	if err != nil {
		return err
	}
	return os.RemoveAll(h.at(p))
}

// below calls f for each value at and below p.
func (h hand) below(p string, f func(path, value string)) error {
	return filepath.WalkDir(h.at(p), func(q string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := readEntry(q)
		if err == nil && e.Value != "" {
			rel, _ := filepath.Rel(h.m.Dir, q)
			f(rel, e.Value)
		}
		return err
	})
}

// room makes the directories above p, in place of what stands there.
func (h hand) room(p string) error {
	dir := path.Dir(p)
	if dir == "." {
		return nil
	}
	if err := h.room(dir); err != nil {
		return err
	}
	fi, err := os.Lstat(h.at(dir))
	if err == nil && fi.IsDir() {
		return nil
	}
	if err == nil && h.dice.IntN(3) > 0 {
		return errSkip
	}
	if err := h.clear(dir); err != nil {
		return err
	}
	return os.Mkdir(h.at(dir), 0o755)
}

func (h hand) size() int {
	switch n := h.dice.IntN(100); {
	case n < 85:
		return h.dice.IntN(5000)
	case n < 98:
		return h.dice.IntN(200_000)
	}
	return h.dice.IntN(1_500_000)
}

// stamp gives a file a time that no file had before: two edits within one tick of the kernel's clock look alike else.
func (h hand) stamp(p string) error {
	h.ticks++
	at := time.Now().Add(time.Duration(h.ticks))
	return os.Chtimes(p, at, at)
}

func (h hand) write(p string) error {
	if err := h.room(p); err != nil {
		return err
	}
	e, err := readEntry(h.at(p))
	is := err == nil
	if is && e.Kind.IsDir() && h.dice.IntN(3) > 0 {
		return errSkip
	}
	value := h.model.Fresh(h.m.Name, p)
	h.Say("%s writes %q to %s", h.m.Name, value, p)
	body := Content(value, h.size())
	if is && e.Kind.IsRegular() && e.Mode&0o200 != 0 && !h.unsure && h.dice.IntN(2) == 0 {
		h.drop(p, e.Value)
		return errors.Join(os.WriteFile(h.at(p), body, 0o644), h.stamp(h.at(p)))
	}
	return h.replace(p, body)
}

// replace saves as editors do.
func (h hand) replace(p string, body []byte) error {
	tmp := h.m.Dir + ".save"
	if err := errors.Join(os.WriteFile(tmp, body, 0o644), h.stamp(tmp), h.clear(p)); err != nil {
		return err
	}
	return os.Rename(tmp, h.at(p))
}

func (h hand) remove(p string) error {
	if p == "" {
		return errSkip
	}
	h.Say("%s removes %s", h.m.Name, p)
	return h.clear(p)
}

func (h hand) rename(from, to string) error {
	if from == "" || from == to || strings.HasPrefix(to+"/", from+"/") || strings.HasPrefix(from+"/", to+"/") {
		return errSkip
	}
	if err := h.room(to); err != nil {
		return err
	}
	if _, err := os.Lstat(h.at(from)); err != nil {
		return errSkip // it made room
	}
	h.Say("%s renames %s to %s", h.m.Name, from, to)
	if err := h.clear(to); err != nil {
		return err
	}
	err := h.below(from, func(q, value string) {
		h.model.Move(h.m.Name, q, path.Join(to, strings.TrimPrefix(q, from)), value)
		if h.unsure {
			h.model.Touch(value)
		}
	})
	if err != nil {
		return err
	}
	return os.Rename(h.at(from), h.at(to))
}

func (h hand) copy(from, to string) error {
	e, err := readEntry(h.at(from))
	if from == "" || from == to || err != nil || !e.Kind.IsRegular() || strings.HasPrefix(from+"/", to+"/") {
		return errSkip
	}
	if err := h.room(to); err != nil {
		return err
	}
	body, err := os.ReadFile(h.at(from))
	if err != nil {
		return errSkip // it made room
	}
	h.Say("%s copies %s to %s", h.m.Name, from, to)
	if err := h.replace(to, body); err != nil {
		return err
	}
	h.model.Put(to, e.Value)
	return nil
}

func (h hand) chmod(p string) error {
	e, err := readEntry(h.at(p))
	if p == "" || err != nil || e.Kind&fs.ModeSymlink != 0 {
		return errSkip
	}
	modes := []fs.FileMode{0o644, 0o600, 0o755, 0o444}
	if e.Kind.IsDir() {
		modes = []fs.FileMode{0o755, 0o700, 0o750}
	}
	mode := modes[h.dice.IntN(len(modes))]
	h.Say("%s gives %s the mode %v", h.m.Name, p, mode)
	h.model.Touch(e.Value)
	return os.Chmod(h.at(p), mode)
}

func (h hand) touch(p string) error {
	e, err := readEntry(h.at(p))
	if p == "" || err != nil || !e.Kind.IsRegular() {
		return errSkip
	}
	h.Say("%s touches %s", h.m.Name, p)
	h.model.Touch(e.Value)
	return h.stamp(h.at(p))
}

func (h hand) mkdir(p string) error {
	if err := h.room(p); err != nil {
		return err
	}
	if fi, err := os.Lstat(h.at(p)); err == nil && (fi.IsDir() || h.dice.IntN(3) > 0) {
		return errSkip
	}
	h.Say("%s makes the directory %s", h.m.Name, p)
	if err := h.clear(p); err != nil {
		return err
	}
	return os.Mkdir(h.at(p), 0o755)
}

func (h hand) link(p string) error {
	if err := h.room(p); err != nil {
		return err
	}
	if err := h.clear(p); err != nil {
		return err
	}
	value := h.model.Fresh(h.m.Name, p)
	h.Say("%s links %s to %q", h.m.Name, p, value)
	if err := os.Symlink(value, h.at(p)); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

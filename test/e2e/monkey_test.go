package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bwaklog/meerkat/test/lab"
)

// TestMonkey has three people do whatever comes to their minds, in real folders, while nodes are killed and links are cut. After each
// round all is healed: the folders are equal, hold nothing but what somebody wrote, and hold every value that nobody touched again.
// MEERKAT_MONKEY=seed:rounds plays another history; the same seed does the same, but the machine decides when.
func TestMonkey(t *testing.T) {
	seed, rounds := uint64(1), 2
	if s := os.Getenv("MEERKAT_MONKEY"); s != "" {
		if _, err := fmt.Sscanf(s, "%d:%d", &seed, &rounds); err != nil {
			t.Fatalf("MEERKAT_MONKEY=%s: %v", s, err)
		}
	}
	l, a, b, c := three(t)
	m := &monkey{l: l, hosts: []*lab.Host{a, b, c}, dice: rand.New(rand.NewPCG(seed, 0)), wrote: map[string]touch{}}
	for r := range rounds {
		m.play()
		m.heal()
		l.EqualWithin(3*time.Minute, m.hosts...)
		m.judge(r)
	}
	t.Logf("seed %d: %d steps, %d files, %d conflict copies in the end", seed, m.step, a.Status().Pools[0].Files, len(a.Conflicts()))
}

// monkey is three people and what they have done.
type monkey struct {
	l       *lab.Lab
	hosts   []*lab.Host
	dice    *rand.Rand
	step    int
	wrote   map[string]touch // by content
	touched []touch
	trail   []string
}

type touch struct {
	path string
	step int
}

func (m *monkey) say(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf("%d ", m.step)+fmt.Sprintf(format, args...))
}

// names are few, so that people meet.
func (m *monkey) name() string {
	dirs := []string{"", "", "d/", "d/e/", "g/"}
	return dirs[m.dice.IntN(len(dirs))] + []string{"f", "h", "i", "j", "e"}[m.dice.IntN(5)]
}

func (m *monkey) play() {
	for range 40 {
		m.step++
		h := m.hosts[m.dice.IntN(3)]
		if n := m.dice.IntN(100); n < 12 {
			m.trouble(h, n)
		} else {
			m.edit(h)
		}
		time.Sleep(time.Duration(m.dice.IntN(400)) * time.Millisecond)
	}
}

func (m *monkey) trouble(h *lab.Host, n int) {
	switch {
	case h.Node == nil:
		m.say("%s starts", h.Name)
		h.Up()
	case n < 4:
		m.say("%s is killed", h.Name)
		h.Kill()
	case n < 6:
		m.say("%s stops", h.Name)
		h.Stop()
	case n < 9:
		m.say("%s is alone", h.Name)
		h.Cut(slices.DeleteFunc(slices.Clone(m.hosts), func(o *lab.Host) bool { return o == h })...)
	default:
		m.say("the links are back")
		m.l.Heal()
	}
}

func (m *monkey) heal() {
	m.l.Heal()
	for _, h := range m.hosts {
		if h.Node == nil {
			h.Up()
		}
	}
}

// edit does one thing in h's folder. What is impossible there, like a file below a file, does not happen.
func (m *monkey) edit(h *lab.Host) {
	name, other := m.name(), m.name()
	if throughLink(h, name) || throughLink(h, other) {
		return
	}
	at := h.Path(name)
	switch n := m.dice.IntN(20); {
	case n < 9:
		m.write(h, name, n < 6)
	case n < 12:
		m.do(h, "removes "+name, os.RemoveAll(at), name)
	case n < 16:
		_ = os.MkdirAll(filepath.Dir(h.Path(other)), 0o755) // may be a file
		m.do(h, "moves "+name+" to "+other, os.Rename(at, h.Path(other)), name, other)
	case n < 17:
		m.do(h, "makes "+name+" a directory", os.MkdirAll(at, 0o755), name)
	case n < 18:
		m.do(h, "links "+name, os.Symlink(other, at), name)
	case n < 19:
		m.do(h, "changes the mode of "+name, os.Chmod(at, []os.FileMode{0o700, 0o755}[m.dice.IntN(2)]))
	default:
		m.do(h, "touches "+name, os.Chtimes(at, time.Time{}, time.Unix(1e9+m.dice.Int64N(1e9), 0)))
	}
}

// throughLink reports whether a link leads to what lies there, so that it goes by another path as well.
func throughLink(h *lab.Host, name string) bool {
	dir := filepath.Dir(h.Path(name))
	real, err := filepath.EvalSymlinks(dir)
	return err == nil && real != dir
}

func (m *monkey) do(h *lab.Host, what string, err error, paths ...string) {
	if err != nil {
		return
	}
	m.say("%s %s", h.Name, what)
	for _, p := range paths {
		m.touched = append(m.touched, touch{p, m.step})
	}
}

// write gives name a content that nothing else has, in place of what is there, or beside it and then renamed.
func (m *monkey) write(h *lab.Host, name string, inPlace bool) {
	at := h.Path(name)
	text := fmt.Sprintf("%s at step %d\n", h.Name, m.step)
	text += strings.Repeat(strconv.Itoa(m.step)+" ", m.dice.IntN([]int{10, 1000, 200_000}[m.dice.IntN(3)]))
	_ = os.MkdirAll(filepath.Dir(at), 0o755) // may be a file
	var err error
	if fi, none := os.Lstat(at); inPlace && (none != nil || fi.Mode().IsRegular()) { // through a link another file would be written
		err = os.WriteFile(at, []byte(text), 0o644)
	} else if err = os.WriteFile(at+lab.Saving, []byte(text), 0o644); err == nil {
		if err = os.Rename(at+lab.Saving, at); err != nil {
			_ = os.Remove(at + lab.Saving)
		}
	}
	m.do(h, "writes "+name, err, name)
	if err == nil {
		m.wrote[text] = touch{name, m.step}
	}
}

// judge looks at the one tree that all have.
func (m *monkey) judge(round int) {
	t := m.l.T
	t.Helper()
	here := map[string]bool{"": true} // a file may have been seen empty, before it was written
	a := m.hosts[0]
	for p := range lab.Snapshot(t, a.Dir) {
		if fi, err := os.Lstat(a.Path(p)); err != nil || !fi.Mode().IsRegular() {
			continue
		}
		text := a.Read(p)
		if _, known := m.wrote[text]; !known && text != "" {
			t.Errorf("round %d: %s holds what nobody wrote: %.60q (%d bytes)", round, p, text, len(text))
		}
		here[text] = true
	}
	for text, w := range m.wrote {
		if !here[text] && !m.again(w) {
			t.Errorf("round %d: %.60q, written to %s, is lost", round, text, w.path)
		}
	}
	if t.Failed() {
		t.Fatalf("%s\n%s", strings.Join(m.trail, "\n"), m.l.Logs())
	}
}

// again reports whether anybody touched that path, or something above or below it, later.
func (m *monkey) again(w touch) bool {
	return slices.ContainsFunc(m.touched, func(x touch) bool {
		return x.step > w.step && (x.path == w.path || strings.HasPrefix(x.path, w.path+"/") || strings.HasPrefix(w.path, x.path+"/"))
	})
}

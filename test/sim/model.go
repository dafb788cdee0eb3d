package sim

import (
	"fmt"
	"strings"
)

// Model remembers what people did, to say afterwards what must and what must not be there. Each value is written once and
// is known by its first line; files may be moved and copied.
type Model struct {
	next  int
	born  map[string]string // value: by whom and where it was written
	past  map[string]string // value: who replaced or deleted it, having seen it
	left  map[spot]string   // who took a value away from where it was
	again map[string]bool   // values that came where they were before, or whose metadata was changed: they may rightly be where they were taken away
}

// spot is a value in a place.
type spot struct{ path, value string }

// NewModel knows of nothing.
func NewModel() *Model {
	return &Model{born: map[string]string{}, past: map[string]string{}, left: map[spot]string{}, again: map[string]bool{}}
}

// Fresh names a new value, written by a machine at path.
func (m *Model) Fresh(by, path string) string {
	m.next++
	v := fmt.Sprintf("value %d", m.next)
	m.born[v] = by + " at " + path
	return v
}

// Put notes that a value came to a path.
func (m *Model) Put(path, value string) {
	if _, was := m.left[spot{path, value}]; was {
		m.again[value] = true
	}
}

// Drop notes that somebody who saw the value replaced or deleted it there.
func (m *Model) Drop(by, path, value string) {
	m.past[value] = by + " at " + path
	m.left[spot{path, value}] = by
}

// Move notes that somebody who saw the value moved it.
func (m *Model) Move(by, from, to, value string) {
	m.left[spot{from, value}] = by
	m.Put(to, value)
}

// Touch notes that a value may rightly come back: somebody changed its metadata, and a deletion at the same time gives
// way to that.
func (m *Model) Touch(value string) { m.again[value] = true }

// Doubt notes that what by took away may rightly come back.
func (m *Model) Doubt(by string) {
	for at, who := range m.left {
		if who == by {
			m.again[at.value] = true
		}
	}
}

// Check compares the tree on which all agree with what people did, and says what is wrong.
func (m *Model) Check(t Tree) []string {
	var wrong []string
	there := map[string]bool{}
	for path, e := range t {
		if e.Value == "" {
			continue
		}
		there[e.Value] = true
		if m.born[e.Value] == "" {
			wrong = append(wrong, fmt.Sprintf("%s holds %q, which nobody wrote", path, e.Value))
		}
		by, left := m.left[spot{path, e.Value}]
		if left && !m.again[e.Value] && !strings.Contains(path, ".conflict-") {
			wrong = append(wrong, fmt.Sprintf("%s holds %q again, which %s took away", path, e.Value, by))
		}
	}
	for v, by := range m.born {
		if m.past[v] == "" && !there[v] {
			wrong = append(wrong, fmt.Sprintf("%q by %s is lost", v, by))
		}
	}
	return wrong
}

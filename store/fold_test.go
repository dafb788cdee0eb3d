package store_test

import (
	"maps"
	"slices"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
)

// model is a store that remembers nothing but events and rows of the index, and computes all else when it is asked.
type model struct {
	states  map[event.Path]event.State
	index   map[event.Path]store.Have
	reasons map[event.Path]string
	heads   map[event.Writer]uint64
}

func newModel() *model {
	return &model{
		states: map[event.Path]event.State{}, index: map[event.Path]store.Have{},
		reasons: map[event.Path]string{}, heads: map[event.Writer]uint64{},
	}
}

func (m *model) append(s event.Segment) {
	for _, l := range s.Leaves {
		m.states[l.Event.Path], _ = m.states[l.Event.Path].Add(l)
	}
	m.heads[s.Writer] = s.Last()
}

// paths are all that have a state, and the directories above them.
func (m *model) paths() []event.Path {
	all := map[event.Path]bool{}
	for p := range m.states {
		for ; p != ""; p = p.Dir() {
			all[p] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (m *model) view(p event.Path) event.View { return m.states[p].View(m.kids(p)) }

func (m *model) kids(dir event.Path) bool {
	for _, p := range m.paths() {
		if p.Dir() == dir && m.view(p).Value.Live() {
			return true
		}
	}
	return false
}

func (m *model) agrees(p event.Path) bool {
	h, ok := m.index[p]
	v := m.view(p).Value
	if !ok || h.Known.Value.Kind == event.Tomb {
		return ok && v.Kind == event.Tomb
	}
	return h.Known.Value.Same(v)
}

// settle moves the rows of the index along with the tree, where they agree with it.
func (m *model) settle() {
	for _, p := range m.paths() {
		_, said := m.states[p]
		if v := m.view(p); (said || v.Value.Live()) && m.agrees(p) {
			h := m.index[p]
			h.Known = v.Known()
			m.index[p] = h
		}
	}
}

func (m *model) needs() map[event.Path]int64 {
	needs := map[event.Path]int64{}
	for _, p := range m.paths() {
		v, h := m.view(p).Value, m.index[p]
		_, said := m.states[p]
		_, has := m.index[p]
		switch {
		case (!said && !v.Live()) || m.agrees(p):
		case v.Kind == event.File && !(has && h.Known.Value.SameContent(v)):
			needs[p] = v.Size
		default:
			needs[p] = 0
		}
	}
	for p, h := range m.index {
		_, said := m.states[p]
		if !said && !m.view(p).Value.Live() && h.Known.Value.Kind == event.Dir && len(h.Known.Base) == 0 {
			needs[p] = 0
		}
	}
	return needs
}

func (m *model) stats() store.Stats {
	var s store.Stats
	var live event.Sum
	for _, p := range m.paths() {
		v := m.view(p).Value
		switch v.Kind {
		case event.File:
			s.Files++
			s.Bytes += v.Size
		case event.Dir:
			s.Dirs++
		case event.Link:
			s.Links++
		}
		if v.Live() {
			live.Add(v.Entry(p))
		}
		if st, ok := m.states[p]; ok {
			s.State.Add(st.Item(p))
		}
	}
	s.Root = live.Fingerprint(nil)
	return s
}

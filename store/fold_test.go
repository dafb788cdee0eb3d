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
	gone    map[event.Path]bool // collected
}

func newModel() *model {
	return &model{
		states: map[event.Path]event.State{}, index: map[event.Path]store.Have{},
		reasons: map[event.Path]string{}, heads: map[event.Writer]uint64{},
		gone: map[event.Path]bool{},
	}
}

func (m *model) append(s event.Segment) {
	for _, l := range s.Leaves {
		moved := false
		if m.states[l.Event.Path], moved = m.states[l.Event.Path].Add(l); moved {
			delete(m.gone, l.Event.Path)
		}
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

// collect notes what may be collected where all events before a time are known to all.
func (m *model) collect(before event.HLC) {
	needs := m.needs()
	for p, s := range m.states {
		v, h := m.view(p), m.index[p]
		_, need := needs[p]
		old := !slices.ContainsFunc(s.Live, func(l event.Leaf) bool { return l.Event.HLC >= before })
		if old && !v.Value.Live() && !m.kids(p) && !need && m.agrees(p) && bare(h) && len(s.Witness) == 0 {
			m.gone[p] = true
		}
	}
}

func bare(h store.Have) bool {
	return !h.Known.Value.Live() && h.Stat == (store.Stat{}) && !h.Racy
}

// wake takes back what is no tombstone any more, or not alone.
func (m *model) wake() {
	for p := range m.gone {
		h, ok := m.index[p]
		if m.kids(p) || !ok || !bare(h) {
			delete(m.gone, p)
		}
	}
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
		if st, ok := m.states[p]; ok && !m.gone[p] {
			s.State.Add(st.Item(p))
		}
	}
	s.Root = live.Fingerprint(nil)
	return s
}

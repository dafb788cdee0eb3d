package node

import (
	"slices"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// order is what one round wants.
type order struct {
	wants []folder.Want
	views map[event.Path]event.View
	fresh bool // it is of what is news

	past   map[event.Path]bool // that went before, being news
	rushed int                 // of those, how many are done
}

// add looks up what has to be known about needs.
func (o *order) add(r *replica, needs []store.Need) error {
	paths := make([]event.Path, len(needs))
	for i, n := range needs {
		paths[i] = n.Path
	}
	sights, err := r.st.Sights(paths)
	if err != nil {
		return err
	}
	from := len(o.wants)
	for i, n := range needs {
		if err := o.want(r, n, sights[i]); err != nil {
			return err
		}
	}
	return r.findLocally(o.wants[from:])
}

// want adds one need, unless it has to wait.
func (o *order) want(r *replica, n store.Need, at store.Sight) error {
	v, have := at.View.Value, at.Have
	if on, _ := r.fold.Ignored(n.Path, v.Kind == event.Dir || have.Known.Value.Kind == event.Dir); on {
		return r.st.SetReason(n.Path, reasonIgnored, "")
	}
	if r.holdsNeed(at.View, have, at.Known) {
		return r.st.SetReason(n.Path, reasonHeld, "its author changed very much in a short time")
	}
	if o.views == nil {
		o.views = map[event.Path]event.View{}
	}
	o.views[n.Path] = at.View
	o.wants = append(o.wants, folder.Want{
		Path: n.Path, Value: v,
		Have: folder.Have{Value: have.Known.Value, Stat: folderStat(have.Stat), Exists: at.Known},
	})
	return nil
}

// overtaken takes out of o what was brought before it: how that lies here may have changed.
func (o *order) overtaken(paths []event.Path, did int) {
	o.rushed += did
	for _, p := range paths {
		if _, planned := o.views[p]; !planned {
			continue
		}
		if o.past == nil {
			o.past = map[event.Path]bool{}
		}
		o.past[p] = true
	}
	o.wants = slices.DeleteFunc(o.wants, func(w folder.Want) bool { return o.past[w.Path] })
}

// still are the steps that were not overtaken.
func (o *order) still(steps []folder.Step) []folder.Step {
	if len(o.past) == 0 {
		return steps
	}
	return slices.DeleteFunc(slices.Clone(steps), func(s folder.Step) bool { return o.past[s.Path] })
}

// findLocally notes for each of wants which files on this disk hold the whole content.
func (r *replica) findLocally(wants []folder.Want) error {
	var roots []chunker.ID
	var of []int
	for i, w := range wants {
		v := w.Value
		if v.Kind == event.File && v.Size > 0 && !(w.Have.Exists && v.SameContent(w.Have.Value)) {
			roots, of = append(roots, v.Root), append(of, i)
		}
	}
	homes, err := r.st.CopiesOf(roots, 4)
	if err != nil {
		return err
	}
	for j, i := range of {
		if wants[i].Local, err = r.locals(homes[j]); err != nil {
			return err
		}
	}
	return nil
}

// locals are the places of a content, as the index knows them.
func (r *replica) locals(homes []store.Place) ([]folder.Local, error) {
	var out []folder.Local
	for _, h := range homes {
		l := folder.Local{Place: folder.Place{Path: h.Path, Version: h.Version}}
		if !h.Version {
			have, ok, err := r.st.Have(h.Path)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			l.Stat = folderStat(have.Stat)
		}
		out = append(out, l)
	}
	return out, nil
}

// split separates what can be applied from what has to be fetched first. That may be a list of chunks alone: of some versions
// none is known.
func (r *replica) split(steps []folder.Step) (ready, fetch []folder.Step) {
	for _, s := range steps {
		_, listed := r.manifestOf(s.Want)
		if s.How == folder.Fetch || s.Want.Kind == event.File && !listed {
			fetch = append(fetch, s)
		} else {
			ready = append(ready, s)
		}
	}
	return ready, fetch
}

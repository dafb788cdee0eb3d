package node

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// KeepBoth is the Keep of a ResolveRequest that makes ordinary files of all
// values.
const KeepBoth = "both"

// conflict is a path with the copies that stand beside it.
type conflict struct {
	path   event.Path
	copies []event.Path // in order
}

// Conflicts gives f each losing value that is kept in a copy; path "" is the
// whole pool, else a path, a copy of it, or a directory.
func (n *Node) Conflicts(_ context.Context, name, path string, f func(ConflictInfo) error) error {
	r, p, err := n.pickBelow(name, path)
	if err != nil {
		return err
	}
	all, err := r.conflicts(p)
	if err != nil {
		return err
	}
	for _, c := range all {
		for _, at := range c.copies {
			info, err := r.conflictInfo(c.path, at)
			if err != nil {
				return err
			}
			if err := f(info); err != nil {
				return err
			}
		}
	}
	return nil
}

// pickBelow is pickPath where "" means the whole pool.
func (n *Node) pickBelow(name, path string) (*replica, event.Path, error) {
	if path == "" || path == "." {
		r, err := n.pick(name)
		return r, "", err
	}
	return n.pickPath(name, path)
}

// conflicts lists the conflicts at or below p, in the order of their paths.
func (r *replica) conflicts(p event.Path) ([]conflict, error) {
	by := map[event.Path]*conflict{}
	err := r.st.TreeWhere(event.IsConflictName, func(at event.Path, v event.View) bool {
		of := event.ConflictOf(at)
		if of == at || !v.Value.Live() || p != "" && of != p && at != p && !of.Under(p) {
			return true
		}
		if by[of] == nil {
			by[of] = &conflict{path: of}
		}
		by[of].copies = append(by[of].copies, at)
		return true
	})
	out := make([]conflict, 0, len(by))
	for _, c := range by {
		slices.Sort(c.copies)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b conflict) int { return cmp.Compare(a.path, b.path) })
	return out, err
}

// contentAuthor is who made the content that stands at p, as far as its event says:
// the one who settled a conflict only moved it.
func contentAuthor(v event.View) peer.ID {
	if n := v.CDot.Writer.Node; n != "" {
		return n
	}
	return v.Author
}

func (r *replica) conflictInfo(p, at event.Path) (ConflictInfo, error) {
	lost, err := r.st.View(at)
	if err != nil {
		return ConflictInfo{}, err
	}
	kept, err := r.st.View(p)
	if err != nil {
		return ConflictInfo{}, err
	}
	by, when := r.loserOf(at, lost)
	c := ConflictInfo{
		Schema: SchemaConflict, Pool: r.name(), By: by.String(), ByName: r.memberName(by),
		Time: when.Time().UTC(), Size: lost.Value.Size, Kind: lost.Value.Kind.String(),
	}
	c.Path, c.PathB64 = jsonPath(p)
	c.Copy, c.CopyB64 = jsonPath(at)
	if kept.Value.Live() {
		who := contentAuthor(kept)
		c.KeptBy, c.KeptByName = who.String(), r.memberName(who)
		c.KeptTime, c.KeptSize = kept.HLC.Time().UTC(), kept.Value.Size
	}
	return c, nil
}

// loserOf finds who made the losing edit that is kept at a copy: the copy's
// name is a function of that edit. Where the edit is no longer known, it is
// whoever wrote the copy.
func (r *replica) loserOf(at event.Path, lost event.View) (peer.ID, event.HLC) {
	l, ok := r.care.loser(at)
	if !ok {
		r.learnLosers()
		l, ok = r.care.loser(at)
	}
	if !ok {
		return contentAuthor(lost), lost.HLC
	}
	return l.by, l.hlc
}

func (c *care) loser(at event.Path) (loser, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.losers[at]
	return l, ok
}

// loser is the edit that a conflict copy keeps.
type loser struct {
	by  peer.ID
	hlc event.HLC
}

// learnLosers reads the logs once for all copies.
func (r *replica) learnLosers() {
	copies := map[event.Path]bool{}
	beside := map[event.Path]bool{} // the directories where they are
	err := r.eachLeaf(map[event.Writer]uint64{}, logQuery{}, func(l event.Leaf) {
		if p := l.Event.Path; event.IsConflictName(p) {
			copies[p], beside[p.Dir()] = true, true
		}
	})
	found := map[event.Path]loser{}
	err = errors.Join(err, r.eachLeaf(map[event.Writer]uint64{}, logQuery{}, func(l event.Leaf) {
		if !l.Event.Value.Live() || !beside[l.Event.Path.Dir()] {
			return
		}
		if at := event.ConflictName(l.Event.Path, l); copies[at] {
			found[at] = loser{l.Dot.Writer.Node, l.Event.HLC}
		}
	}))
	if err != nil {
		r.log.Warn("look for losing edits", "err", err)
		return
	}
	r.care.mu.Lock()
	r.care.losers = found
	r.care.mu.Unlock()
}

// Resolve settles the conflict at a path for all members, in one go. No value
// is lost: what is not kept becomes a version.
func (n *Node) Resolve(ctx context.Context, q ResolveRequest) (ResolveInfo, error) {
	r, p, err := n.pickPath(q.Pool, q.Path)
	if err != nil {
		return ResolveInfo{}, err
	}
	p = event.ConflictOf(p)
	if err := r.mayAuthor(); err != nil {
		return ResolveInfo{}, err
	}
	all, err := r.conflicts(p)
	if err != nil {
		return ResolveInfo{}, err
	}
	i := slices.IndexFunc(all, func(c conflict) bool { return c.path == p })
	if i < 0 {
		return ResolveInfo{}, trouble("no_conflict", nil, "there is no conflict at %q", string(p))
	}
	for _, at := range append([]event.Path{p}, all[i].copies...) {
		if err := r.freshen(ctx, at); err != nil {
			return ResolveInfo{}, err
		}
	}
	return r.resolve(ctx, all[i], q.Keep)
}

func (r *replica) resolve(ctx context.Context, c conflict, keep string) (ResolveInfo, error) {
	info := ResolveInfo{Schema: SchemaResolved, Changed: []string{}, Removed: []string{}}
	info.Path, _ = jsonPath(c.path)
	var touched []event.Path
	err := r.author(append([]event.Path{c.path}, c.copies...), func() ([]event.Event, error) {
		s := settlement{r: r, info: &info}
		err := s.draft(c, keep)
		for _, e := range s.drafts {
			touched = append(touched, e.Path)
		}
		return s.drafts, err
	})
	if err != nil {
		return info, err
	}
	for _, p := range touched {
		if _, err := r.arrived(ctx, p); err != nil {
			return info, err
		}
	}
	return info, nil
}

// settlement gathers the events that settle one conflict.
type settlement struct {
	r      *replica
	info   *ResolveInfo
	drafts []event.Event
}

func (s *settlement) draft(c conflict, keep string) error {
	if keep == KeepBoth {
		return s.keepAll(c)
	}
	from, err := s.r.kept(c, keep)
	if err != nil {
		return err
	}
	view, err := s.r.st.View(from)
	if err != nil {
		return err
	}
	if err := s.put(c.path, view.Value); err != nil {
		return err
	}
	for _, at := range c.copies {
		if err := s.put(at, event.Value{Kind: event.Tomb}); err != nil {
			return err
		}
	}
	return nil
}

// keepAll gives each copy an ordinary name.
func (s *settlement) keepAll(c conflict) error {
	taken := map[event.Path]bool{}
	for _, at := range c.copies {
		view, err := s.r.st.View(at)
		if err != nil {
			return err
		}
		by, _ := s.r.loserOf(at, view)
		to, err := s.r.freeName(c.path, s.r.memberName(by), taken)
		if err != nil {
			return err
		}
		if err := s.put(to, view.Value); err != nil {
			return err
		}
		if err := s.put(at, event.Value{Kind: event.Tomb}); err != nil {
			return err
		}
	}
	return nil
}

// put drafts that v stands at p.
func (s *settlement) put(p event.Path, v event.Value) error {
	es, err := s.r.change(p, v)
	if err != nil || len(es) == 0 {
		return err
	}
	text, _ := jsonPath(p)
	if v.Live() {
		s.info.Changed = append(s.info.Changed, text)
	} else {
		s.info.Removed = append(s.info.Removed, text)
	}
	s.drafts = append(s.drafts, es...)
	return nil
}

// freeName is "NAME (WHO).EXT" beside p, with a number where that is taken.
func (r *replica) freeName(p event.Path, who string, taken map[event.Path]bool) (event.Path, error) {
	who = strings.Map(func(c rune) rune {
		if c == '/' || c < 0x20 || c == 0x7f {
			return '_'
		}
		return c
	}, who)
	ext := path.Ext(p.Base())
	if ext == p.Base() || len(ext) > 32 {
		ext = ""
	}
	stem := strings.TrimSuffix(p.Base(), ext)
	for n := 1; ; n++ {
		tail := " (" + who + ")"
		if n > 1 {
			tail = " (" + who + " " + strconv.Itoa(n) + ")"
		}
		room := max(event.MaxName-len(tail)-len(ext), 1)
		cutStem := strings.ToValidUTF8(stem[:min(len(stem), room)], "")
		to := p.Dir().Join(cutStem + tail + ext)
		v, err := r.st.View(to)
		if err != nil {
			return "", err
		}
		if !v.Value.Live() && !taken[to] {
			taken[to] = true
			return to, nil
		}
	}
}

// kept is the path whose value is to stay: that of the member keep, or the
// file keep.
func (r *replica) kept(c conflict, keep string) (event.Path, error) {
	if p, err := event.ParsePath([]byte(keep)); err == nil {
		if v, err := r.st.View(p); err == nil && v.Value.Live() && v.Value.Kind != event.Dir {
			return p, nil
		}
	}
	var hits []event.Path
	for _, at := range append([]event.Path{c.path}, c.copies...) {
		v, err := r.st.View(at)
		if err != nil {
			return "", err
		}
		if !v.Value.Live() {
			continue
		}
		by := contentAuthor(v)
		if at != c.path {
			by, _ = r.loserOf(at, v)
		}
		if id := by.String(); id == keep || r.memberName(by) == keep || len(keep) >= 6 && strings.HasPrefix(id, keep) {
			hits = append(hits, at)
		}
	}
	switch len(hits) {
	case 0:
		return "", trouble("no_such_value", nil, "%q is neither a file of the pool nor a member with a value there", keep)
	case 1:
		return hits[0], nil
	}
	return "", trouble("which_value", nil, "%s has %d values there", keep, len(hits))
}

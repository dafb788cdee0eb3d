package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// change is one path that was seen to differ from the index, and what it means
// to the pool.
type change struct {
	seen  folder.Seen
	draft *event.Event // nil: only the index moves
	have  store.Have   // the row to write; its Known is completed after sealing

	forget bool // instead: the index no longer knows the path
}

// publish turns what a scan saw into facts: events where a person changed
// something, index rows where the disk only caught up. It holds the disk, and
// leaves alone every path that has moved on since it was seen.
func (r *replica) publish(seen []folder.Seen) error {
	r.disk.Lock()
	defer r.disk.Unlock()
	if r.stray != nil {
		return r.stray
	}
	if err := r.settleOwn(seen); err != nil {
		return err
	}
	var tx store.Tx
	var changes []change
	for part := range slices.Chunk(seen, judgeMost) {
		cs, err := r.judgeAll(part)
		if err != nil {
			return err
		}
		for _, c := range cs {
			if c.forget {
				tx.Forget = append(tx.Forget, c.seen.Path)
			} else {
				changes = append(changes, c)
			}
		}
	}
	return r.commitChanges(tx, changes)
}

// judgeMost is how many paths are looked up together.
const judgeMost = 1024

// judgeAll is judge of each, without those that are stale or say nothing.
func (r *replica) judgeAll(seen []folder.Seen) ([]change, error) {
	paths := make([]event.Path, len(seen))
	for i, s := range seen {
		paths[i] = s.Path
	}
	sights, err := r.st.Sights(paths)
	if err != nil {
		return nil, err
	}
	var out []change
	for i, s := range seen {
		c, ok, err := r.judge(s, sights[i])
		if err != nil {
			return nil, err
		}
		if ok || c.forget {
			out = append(out, c)
		}
	}
	return out, nil
}

// judge decides what one observation means. False: it is stale or says nothing.
func (r *replica) judge(s folder.Seen, at store.Sight) (change, bool, error) {
	have, known, view := at.Have, at.Known, at.View
	if s.Ignored {
		ok := known && have.Known.Value.Live() && !isAside(have)
		return change{seen: s, have: aside(have)}, ok, nil
	}
	if !r.stillThere(s) {
		r.markDirty(s.Path, false)
		return change{}, false, nil
	}
	c := change{seen: s, have: store.Have{Stat: storeStat(s.Stat), Racy: s.Racy}}
	now := s.Value
	switch {
	case s.Only == folder.OnlyLeft:
		c.have.Known = have.Known
		c.have.Known.Value = now // the pool wants it gone, and nothing keeps it any more
		return c, known && !have.Known.Value.Live(), nil
	case s.Gone && isAside(have):
		c.forget = true // un-ignoring deletes nothing: what went meanwhile is fetched again
	case known && now.Alike(have.Known.Value):
		c.have.Known = have.Known
	case known && r.damaged(s, have):
		r.harmed(s.Path)
		c.have.Known = event.Known{Value: now}
	case known && now.Alike(view.Value):
		c.have.Known = knownOf(view)
	case known:
		r.noteKin(s, have)
		r.draft(&c, have.Known, now)
	default:
		return r.merge(c, now, view)
	}
	return c, true, nil
}

// aside is the row of a path that the rules ignore now: what its author had
// seen stays, for an edit made while it is ignored; how the disk looked does
// not, so that it is looked at once it is ignored no more.
func aside(h store.Have) store.Have {
	h.Stat = store.Stat{Dev: h.Stat.Dev, Ino: h.Stat.Ino, Mode: h.Stat.Mode}
	return h
}

func isAside(h store.Have) bool { return h.Stat.CTime == 0 && h.Stat.Dev != 0 }

// merge is the rule for a path that the index knows nothing of: equal content
// is adopted, an old version is brought up to date, anything else is new.
// Nothing is ever deleted for it.
func (r *replica) merge(c change, now event.Value, view event.View) (change, bool, error) {
	if !now.Live() {
		return c, false, nil // nothing known, nothing there
	}
	if view.Value.Live() && now.SameContent(view.Value) {
		c.have.Known = knownOf(view)
		c.have.Known.Value = now
		return c, true, nil
	}
	old, err := r.stale(c.seen.Path, now, view)
	if err != nil {
		return c, false, err
	}
	past, err := r.inherit(c.seen.Path, now, view)
	if err != nil {
		return c, false, err
	}
	if old || past.stale {
		c.have.Known = event.Known{Value: now}
	} else {
		r.draft(&c, past.known, now)
		c.draft.HLC = min(c.draft.HLC, past.when)
	}
	return c, true, nil
}

// stale reports whether now is something that the pool has already left behind
// at this path: an older content, or a directory that was removed.
func (r *replica) stale(p event.Path, now event.Value, view event.View) (bool, error) {
	if now.Kind != event.Dir {
		if slices.Contains(view.Prev, now.Content()) {
			return true, nil
		}
		if view.CDot.IsZero() && !view.Value.Live() {
			return false, nil // the pool never had anything there
		}
		return r.hadOnce(p, now.Content())
	}
	if view.Value.Live() {
		return false, nil
	}
	s, err := r.st.State(p)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(s.Live, func(l event.Leaf) bool { return l.Event.WasDir }), nil
}

func (r *replica) draft(c *change, k event.Known, now event.Value) {
	e := event.Change(c.seen.Path, k, now, r.clock.Now())
	e.Found = !r.knowsFolder() && e.Value.Live()
	c.draft = &e
}

// stillThere reports whether the disk still shows what the scan saw.
func (r *replica) stillThere(s folder.Seen) bool {
	stat, exists, err := r.fold.Lstat(s.Path)
	if err != nil {
		return false
	}
	if s.Gone {
		_, ours := stat.Kind()
		return !exists || !ours // a device, FIFO or socket may have taken its place
	}
	return exists && stat == s.Stat
}

// commitChanges seals the drafts, writes events and rows in one durable
// commit, and announces.
func (r *replica) commitChanges(tx store.Tx, changes []change) error {
	var drafts []event.Event
	for _, c := range changes {
		if c.draft != nil {
			drafts = append(drafts, *c.draft)
		}
	}
	if slices.ContainsFunc(drafts, unsayable) {
		changes, drafts = r.unsaid(changes)
	}
	if len(drafts) > 0 && !r.mayWrite() {
		var err error
		if changes, tx.Reasons, err = r.refuse(changes); err != nil {
			return err
		}
		drafts = nil
	}
	segs, leaves, err := r.seal(drafts)
	if err != nil {
		return err
	}
	tx.Segments = segs
	tx.Put = make(map[event.Path]store.Have, len(changes))
	for _, c := range changes {
		if c.draft != nil {
			c.have.Known = knownOfLeaf(leaves[0])
			leaves = leaves[1:]
		}
		tx.Put[c.seen.Path] = c.have
		if c.seen.Value.Kind == event.File && !c.seen.Ignored {
			tx.Manifests = append(tx.Manifests, c.seen.Manifest)
		}
	}
	if len(segs)+len(tx.Put)+len(tx.Forget)+len(tx.Reasons) == 0 {
		return nil // nothing became known, so nobody is woken for it
	}
	r.wetted(tx.Put)
	return r.commit(tx)
}

// unsaid leaves out the changes that cannot be signed, and tells about them.
func (r *replica) unsaid(changes []change) (kept []change, drafts []event.Event) {
	for _, c := range changes {
		if c.draft == nil || !unsayable(*c.draft) {
			kept = append(kept, c)
			if c.draft != nil {
				drafts = append(drafts, *c.draft)
			}
			continue
		}
		r.setProblem(Problem{
			Path: string(c.seen.Path), Code: "vector_full",
			Message: "more writers than can be have written here; a member invents them",
			Hint:    "see the notices of status, and remove the member with: meerkat peer rm NAME",
		})
	}
	return kept, drafts
}

// seal signs drafts as the next segments of this node's log.
func (r *replica) seal(drafts []event.Event) ([]event.Segment, []event.Leaf, error) {
	if len(drafts) == 0 {
		return nil, nil, nil
	}
	if !r.licence.held() {
		return nil, nil, trouble("busy", nil, "this node is still comparing its state with a member's")
	}
	segs, err := r.sign(drafts)
	if errors.Is(err, event.ErrRewound) {
		if err = r.newEpochLocked("the pool knows later changes of this node"); err == nil {
			segs, err = r.sign(drafts)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	var leaves []event.Leaf
	for _, s := range segs {
		leaves = append(leaves, s.Leaves...)
	}
	return segs, leaves, nil
}

// sign seals drafts behind the head of this node's log.
func (r *replica) sign(drafts []event.Event) ([]event.Segment, error) {
	if err := r.fitEpoch(); err != nil {
		return nil, err
	}
	prev, _ := r.st.Head(r.writer)
	prev.Writer = r.writer
	return event.Seal(r.key, r.id, prev, r.link(prev), drafts)
}

// commit makes tx a fact and announces what it holds.
func (r *replica) commit(tx store.Tx) error {
	if _, err := r.st.Commit(tx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if len(tx.Segments) > 0 {
		r.noteLogEnd()
	}
	for _, s := range tx.Segments {
		r.feed.Announce(r.id, s)
		r.tell([]event.Segment{s})
	}
	if len(tx.Segments) > 0 {
		r.reportNow.poke()
	}
	r.applyNow.poke()
	return nil
}

// knownOf is what a person who sees the winner of a view has seen.
func knownOf(v event.View) event.Known {
	return event.Known{Value: v.Value, Base: v.Base, CDot: v.CDot, MDot: v.MDot, Prev: v.Prev}
}

// knownOfLeaf is what the author of a leaf has seen.
func knownOfLeaf(l event.Leaf) event.Known {
	e := l.Event
	return event.Known{Value: e.Value, Base: e.Ctx.With(l.Dot), CDot: e.CDot, MDot: e.MDot, Prev: e.Prev}
}

func storeStat(s folder.Stat) store.Stat  { return store.Stat(s) }
func folderStat(s store.Stat) folder.Stat { return folder.Stat(s) }

// classHint is the class of the content that the pool has at a path, so that
// equal files are cut alike.
func (r *replica) classHint(p event.Path) (chunker.Class, bool) {
	v, err := r.st.View(p)
	if err != nil || v.Value.Kind != event.File {
		return 0, false
	}
	return v.Value.Class, true
}

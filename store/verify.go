package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// Fault is a row that is not what the other rows say.
type Fault struct {
	Path event.Path // "" where it is not about one
	What string
}

// String is the fault for logs.
func (f Fault) String() string { return fmt.Sprintf("%q: %s", string(f.Path), f.What) }

const (
	maxFaults   = 1000 // named by one Verify
	maxRepairs  = 64   // passes
	noteSums    = "sums are not those of the rows"
	noteEntry   = "tree row is not what its children, index and state say"
	noteMissing = "tree row of a directory with live children is missing"
	noteNeed    = "need is not the difference of tree and index"
	noteMark    = "mark of the unsettled is wrong"
	noteIndex   = "index row does not say rightly whether it follows the tree"
	noteLog     = "log does not lead to its head"
	noteRef     = "reference to content is not what the index says"
	noteChunk   = "place of a chunk is not what its file says"
	noteBlock   = "manifest block belongs to no content"
	noteItem    = "item of state reconciliation is not that of the state"
	noteRange   = "sum of state reconciliation is not that of its items"
	noteLost    = "state of a path is lost or cannot be read"
)

// Verify counts everything anew from the rows that say it first: states, the index, the logs. It returns where what
// follows from them was something else (the first 1000 such places); with repair it also makes it right, durably. It reads
// the whole pool; without repair it holds nobody up. An error means that it could not look.
func (p *Pool) Verify(repair bool) ([]Fault, error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	if !repair {
		return p.look()
	}
	all, err := p.restore()
	if err != nil {
		return all, wrap("restore states", err)
	}
	for range maxRepairs { // one may bring out the next, such as a wrong count one level up
		var found []Fault
		mended := false
		err := p.change("repair", func(c *change) (err error) {
			found, err = c.audit()
			mended = !c.b.Empty() || c.facts.sums != p.latest.sums
			return err
		})
		if err != nil {
			return all, err
		}
		for _, f := range found {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
		if !mended {
			break
		}
	}
	return all, nil
}

func (p *Pool) look() ([]Fault, error) {
	p.write.Lock()
	snap, facts := p.db.pebble.NewSnapshot(), p.latest
	p.write.Unlock()
	defer func() { _ = snap.Close() }() // cannot fail, it reads nothing
	a := newAudit(p, snap, nil)
	err := a.run(facts)
	return a.faults, wrap("verify", err)
}

// audit repairs into the batch of the change.
func (c *change) audit() ([]Fault, error) {
	a := newAudit(c.p, c.p.db.pebble, c.b)
	if err := a.run(c.facts); err != nil {
		return nil, err
	}
	c.facts.sums = a.sums
	return a.faults, nil
}

// audit is one look at all rows of a pool.
type audit struct {
	p      *Pool
	r      pebble.Reader
	fix    *pebble.Batch // nil: only look
	sums   sums
	kids   map[event.Path]uint64 // of directories whose own row is still to come
	ranges map[event.Range]event.Sum
	faults []Fault // the first of those found
	found  int
}

func newAudit(p *Pool, r pebble.Reader, fix *pebble.Batch) *audit {
	return &audit{p: p, r: r, fix: fix, kids: map[event.Path]uint64{}, ranges: map[event.Range]event.Sum{}}
}

func (a *audit) run(f facts) error {
	for _, part := range []func() error{a.tree, a.orphans, a.strays, a.sets, a.content} {
		if err := part(); err != nil {
			return err
		}
	}
	if a.sums != f.sums {
		a.fault("", noteSums)
	}
	return a.logs(f)
}

func (a *audit) fault(path event.Path, what string) {
	a.found++
	if len(a.faults) < maxFaults {
		a.faults = append(a.faults, Fault{path, what})
	}
}

// set notes a fault and writes the row as it should be; nil deletes it.
func (a *audit) set(path event.Path, what string, key, row []byte) error {
	a.fault(path, what)
	switch {
	case a.fix == nil:
		return nil
	case row == nil:
		return a.fix.Delete(key, nil)
	}
	return a.fix.Set(key, row, nil)
}

// tree goes backwards, so that each directory comes after all that is below it.
func (a *audit) tree() error {
	prefix := a.p.space.table(nil, tabTree)
	it, err := a.r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	for ok := it.Last(); ok && err == nil; ok = it.Prev() {
		err = a.treeRow(it)
	}
	return errors.Join(err, it.Error(), it.Close())
}

func (a *audit) treeRow(it *pebble.Iterator) error {
	path, err := pathOf(it.Key())
	if err != nil {
		return err
	}
	val, err := it.ValueAndErr()
	if err != nil {
		return err
	}
	row := bytes.Clone(val)
	e, err := a.p.writers.readEntry(row)
	if err != nil {
		return a.set(path, noteLost, bytes.Clone(it.Key()), nil)
	}
	if e.collected && a.kids[path] == 0 {
		return a.collected(path, e)
	}
	if err := a.p.revive(a.r, &e); isDamage(err) {
		return a.set(path, noteLost, bytes.Clone(it.Key()), nil)
	} else if err != nil {
		return err
	}
	e.collected, e.kids = false, a.kids[path]
	delete(a.kids, path)
	return a.entry(path, row, e)
}

// entry checks all that follows from e, which is right but for its marks.
func (a *audit) entry(path event.Path, row []byte, e entry) error {
	v := e.view()
	a.count(path, e, v)
	if err := a.item(path, e); err != nil {
		return err
	}
	h, has, err := a.index(path, e, v)
	if err != nil {
		return err
	}
	e.unsettled = len(v.Losers) > 0 || v.Implied
	if err := a.mark(path, e.unsettled); err != nil {
		return err
	}
	bytes, need := e.need(v, h, has)
	e.needs = need
	if err := a.need(path, bytes, need); err != nil {
		return err
	}
	want := a.p.writers.appendEntry(nil, e)
	if e.empty() {
		want = nil
	}
	if slices.Equal(want, row) {
		return nil
	}
	what := noteEntry
	if row == nil {
		what = noteMissing
	}
	return a.set(path, what, a.p.space.path(nil, tabTree, path), want)
}

func (a *audit) count(path event.Path, e entry, v event.View) {
	a.sums.tally(v.Value, 1)
	a.sums.tallyCopy(path, v.Value, 1)
	if v.Value.Live() {
		a.sums.live.Add(v.Value.Entry(path))
		if dir := path.Dir(); dir != "" {
			a.kids[dir]++
		}
	}
	if e.known() {
		a.sums.state.Add(e.state.Item(path))
	}
}

// index reads the row of the index. One that claims a view that it does not agree with keeps its value and is given no
// base: then nothing that it did not see can be lost to it.
func (a *audit) index(path event.Path, e entry, v event.View) (Have, bool, error) {
	key := a.p.space.path(nil, tabIndex, path)
	row, err := get(a.r, key)
	if err != nil || row == nil {
		return Have{}, false, err
	}
	h, current, err := a.p.writers.readHave(row)
	if err != nil {
		return Have{}, false, err
	}
	right := e.wanted(v) && agrees(h, v)
	if right != current {
		err = a.set(path, noteIndex, key, a.p.writers.appendHave(nil, h, right))
	}
	return h, true, err
}

func (a *audit) mark(path event.Path, want bool) error {
	key := a.p.space.path(nil, tabUnsettled, path)
	row, err := get(a.r, key)
	if err != nil || want == (row != nil) {
		return err
	}
	if want {
		return a.set(path, noteMark, key, []byte{})
	}
	return a.set(path, noteMark, key, nil)
}

func (a *audit) need(path event.Path, bytes int64, want bool) error {
	key := a.p.space.path(nil, tabNeed, path)
	row, err := get(a.r, key)
	if err != nil {
		return err
	}
	var n needRow
	if row != nil {
		if n, err = readNeed(row); err != nil {
			return err
		}
	}
	if !want {
		if row == nil {
			return nil
		}
		return a.set(path, noteNeed, key, nil)
	}
	right := row != nil && n.bytes == bytes
	n.bytes = bytes
	a.sums.need(n, 1)
	if right {
		return nil
	}
	return a.set(path, noteNeed, key, n.append(nil))
}

// orphans are directories that only their children imply, and whose row is not there.
func (a *audit) orphans() error {
	paths := slices.SortedFunc(maps.Keys(a.kids), func(x, y event.Path) int { return depth(y) - depth(x) })
	for _, path := range paths {
		if err := a.entry(path, nil, entry{kids: a.kids[path]}); err != nil {
			return err
		}
	}
	return nil
}

// strays are rows of other tables for paths that the tree has no row of.
func (a *audit) strays() error {
	for _, tab := range []byte{tabIndex, tabNeed, tabUnsettled} {
		err := scan(a.r, a.p.space.table(nil, tab), func(key, row []byte) error {
			path, err := pathOf(key)
			if err != nil {
				return err
			}
			known, err := get(a.r, a.p.space.path(nil, tabTree, path))
			if err != nil || known != nil || a.kids[path] > 0 {
				return err
			}
			return a.stray(tab, path, key)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) stray(tab byte, path event.Path, key []byte) error {
	switch tab {
	case tabNeed:
		return a.set(path, noteNeed, bytes.Clone(key), nil)
	case tabUnsettled:
		return a.set(path, noteMark, bytes.Clone(key), nil)
	}
	h, has, err := a.index(path, entry{}, event.View{})
	if err != nil {
		return err
	}
	if _, need := (entry{}).need(event.View{}, h, has); need {
		row := a.p.writers.appendEntry(nil, entry{needs: true})
		return a.set(path, noteEntry, a.p.space.path(nil, tabTree, path), row)
	}
	return nil
}

// logs follows each trunk to its head.
func (a *audit) logs(f facts) error {
	for w, want := range f.heads {
		n, _ := a.p.writers.number(w)
		at := event.Head{Writer: w}
		err := scan(a.r, a.p.space.log(n), func(key, row []byte) error {
			s, err := event.OpenSegment(a.p.id, bytes.Clone(row))
			if err != nil {
				return corrupt("segment: " + err.Error())
			}
			if branchOf(key) == trunk && s.First == at.Seq+1 && s.Prev == at.Hash {
				at = s.Head()
			}
			return nil
		})
		if err != nil {
			return err
		}
		if at != want {
			// There is no right row to be derived: the segments that are missing come back by repair with a member.
			a.fault("", noteLog)
		}
	}
	return nil
}

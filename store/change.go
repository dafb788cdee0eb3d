package store

import (
	"maps"
	"slices"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

// change is one batch in the making. Paths that it touches are held in nodes until all of its events and rows are
// in, and settled deepest first, so that a directory is settled once, after its children.
type change struct {
	p        *Pool
	b        *pebble.Batch
	db       rows // what was there before
	facts    facts
	ownHeads bool
	ownForks bool
	writers  int  // how many had a number before
	voids    bool // rows of the index go because of a removal

	nodes    map[event.Path]*node
	levels   [][]*node // by depth
	restated []*node   // whose items are to be written
	reasons  map[event.Path]Reason

	refs   map[ref]bool // true: to be written, false: to be deleted
	stakes map[chunker.ID]*stake
	lists  manifests
	shares *pebble.Iterator          // over references, made on first use
	drift  map[event.Range]event.Sum // by how much the sums of ranges change

	fresh    map[string]bool // keys of the segments in this batch
	taken    []event.Segment // those of a trunk
	joined   []event.Writer  // logs whose trunk came to where something beside it goes on
	result   Result
	key, row []byte // scratch
}

// node is a path that a change touches.
type node struct {
	path   event.Path
	row    []byte       // of the tree, as it is in the database; nil: none
	was    entry        // what it says
	now    entry        // what it is to say
	before event.View   // of was
	coming []event.Leaf // to be added to now, all together
	again  []event.Hash // those of coming that the logs hold already
	after  event.View   // of now, once settled
	moved  bool         // the state is another
	void   bool         // because an event of it does not count any more

	loaded  bool   // the fields below say what the index says
	haveRow []byte // as it is in the database; nil: none
	had     bool
	old     Have
	has     bool // what it is to say
	have    Have
	current bool // have agrees with after, and follows it
}

func newChange(p *Pool, b *pebble.Batch) *change {
	return &change{
		p: p, b: b, db: rows{r: p.db.pebble}, facts: p.latest, writers: p.writers.len(),
		nodes: map[event.Path]*node{}, refs: map[ref]bool{}, fresh: map[string]bool{}, drift: map[event.Range]event.Sum{},
	}
}

func (c *change) close() {
	c.db.close()
	if c.shares != nil {
		_ = c.shares.Close() // read only, and its error was looked at
	}
}

func (c *change) run(f func(*change) error) error {
	if err := f(c); err != nil {
		return err
	}
	if err := c.settle(); err != nil {
		return err
	}
	if err := c.restate(); err != nil {
		return err
	}
	if err := c.settleRefs(); err != nil {
		return err
	}
	if err := c.settleRanges(); err != nil {
		return err
	}
	if err := c.countVoids(); err != nil {
		return err
	}
	if c.facts.sums != c.p.latest.sums {
		if err := c.b.Set(c.p.space.table(nil, tabSums), c.facts.sums.append(nil), nil); err != nil {
			return err
		}
	}
	if c.b.Empty() {
		return nil
	}
	return c.p.db.room()
}

// at is the node of path, read from the database when it is touched first.
func (c *change) at(path event.Path) (*node, error) {
	if n, ok := c.nodes[path]; ok {
		return n, nil
	}
	c.key = c.p.space.path(c.key[:0], tabTree, path)
	row, err := c.db.get(c.key)
	if err != nil {
		return nil, err
	}
	n := &node{path: path, row: row}
	if row != nil {
		if n.was, err = c.p.writers.readEntry(row); err != nil {
			return nil, err
		}
		if err := c.p.revive(c.p.db.pebble, &n.was); err != nil {
			return nil, err
		}
	}
	n.before, n.now = n.was.view(), n.was
	c.nodes[path] = n
	c.file(n)
	return n, nil
}

// file puts n among the nodes of its depth.
func (c *change) file(n *node) {
	d := depth(n.path)
	for len(c.levels) <= d {
		c.levels = append(c.levels, nil)
	}
	c.levels[d] = append(c.levels[d], n)
}

// load reads what the index says of n.
func (c *change) load(n *node) error {
	if n.loaded {
		return nil
	}
	c.key = c.p.space.path(c.key[:0], tabIndex, n.path)
	row, err := c.db.get(c.key)
	if err != nil {
		return err
	}
	n.loaded, n.haveRow = true, row
	if row == nil {
		if n.was.collected {
			n.had, n.old = true, cleared(n.before)
			n.has, n.have = true, n.old
		}
		return nil
	}
	h, current, err := c.p.writers.readHave(row)
	if err != nil {
		return err
	}
	if current {
		h.follow(n.before)
	}
	n.had, n.old = true, h
	n.has, n.have = true, h
	return nil
}

// put makes h the index's word on path; forget leaves it none.
func (c *change) put(path event.Path, h Have) error {
	switch v := &h.Known.Value; v.Kind {
	case event.Dir, event.Tomb: // as events say them
		v.MTime = 0
	case event.Link:
		v.Mode = event.LinkMode
	}
	n, err := c.at(path)
	if err != nil {
		return err
	}
	if err := c.load(n); err != nil {
		return err
	}
	c.lists.meet(h.Known.Value) // the tree's value may not have the list
	n.has, n.have = true, h
	return nil
}

func (c *change) forget(path event.Path) error {
	n, err := c.at(path)
	if err != nil {
		return err
	}
	if err := c.load(n); err != nil {
		return err
	}
	n.has, n.have = false, Have{}
	return nil
}

// fold notes an event for the state of its path.
func (c *change) fold(l event.Leaf) error {
	n, err := c.at(l.Event.Path)
	if err != nil {
		return err
	}
	n.coming = append(n.coming, l)
	c.result.New++
	return nil
}

// merge adds what came for n to its state.
func (c *change) merge(n *node) {
	if len(n.coming) == 0 {
		return
	}
	s, moved := n.now.state.AddAll(n.coming)
	for _, h := range n.again {
		if s.Has(h) && !n.now.state.Has(h) {
			c.result.New++
		}
	}
	c.weigh(n, s)
	n.now.state, n.moved, n.coming, n.again = s, n.moved || moved, nil, nil
}

// settle writes the rows of all nodes. Settling one may touch the node of its directory, which stands one level up.
func (c *change) settle() error {
	for d := len(c.levels) - 1; d > 0; d-- {
		for i := 0; i < len(c.levels[d]); i++ {
			if err := c.settleNode(c.levels[d][i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *change) settleNode(n *node) error {
	c.merge(n)
	if err := c.load(n); err != nil {
		return err
	}
	n.after = n.before
	n.wake()
	if n.moved || (n.was.kids > 0) != (n.now.kids > 0) || n.was.collected != n.now.collected {
		n.after = n.now.view()
		c.count(n)
		c.restated = append(c.restated, n)
		c.result.Paths = append(c.result.Paths, n.path)
	}
	if n.void && n.has && !agrees(n.have, n.after) {
		n.has, n.have, c.voids = false, Have{}, true // it is found anew, and becomes our own
	}
	n.adopt()
	for _, write := range []func(*node) error{c.rise, c.settleNeed, c.writeEntry, c.writeHave} {
		if err := write(n); err != nil {
			return err
		}
	}
	return nil
}

// rise tells the directory of n when n came to life or died.
func (c *change) rise(n *node) error {
	was, is := n.before.Value.Live(), n.after.Value.Live()
	dir := n.path.Dir()
	if was == is || dir == "" {
		return nil
	}
	d, err := c.at(dir)
	switch {
	case err != nil:
		return err
	case is:
		d.now.kids++
	case d.now.kids == 0:
		return corrupt("count of the live children of " + string(dir))
	default:
		d.now.kids--
	}
	return nil
}

// count moves the sums from what n was to what it is.
func (c *change) count(n *node) {
	s := &c.facts.sums
	s.tally(n.before.Value, -1)
	s.tally(n.after.Value, +1)
	s.tallyCopy(n.path, n.before.Value, -1)
	s.tallyCopy(n.path, n.after.Value, +1)
	if n.before.Value.Live() {
		s.live.Sub(n.before.Value.Entry(n.path))
	}
	if n.after.Value.Live() {
		s.live.Add(n.after.Value.Entry(n.path))
	}
}

func (s *sums) tally(v event.Value, by int64) {
	switch v.Kind {
	case event.File:
		s.files += by
		s.bytes += by * v.Size
	case event.Dir:
		s.dirs += by
	case event.Link:
		s.links += by
	}
}

func (s *sums) tallyCopy(path event.Path, v event.Value, by int64) {
	if v.Live() && event.IsConflictName(path) {
		s.copies += by
	}
}

// writeEntry writes the row of the tree, and the row of the unsettled, where they are not yet as they should be.
func (c *change) writeEntry(n *node) error {
	unsettled := len(n.after.Losers) > 0 || n.after.Implied
	if unsettled != n.was.unsettled {
		c.key = c.p.space.path(c.key[:0], tabUnsettled, n.path)
		if err := c.mark(c.key, unsettled); err != nil {
			return err
		}
	}
	n.now.unsettled = unsettled
	c.key = c.p.space.path(c.key[:0], tabTree, n.path)
	if n.now.empty() {
		if n.row == nil {
			return nil
		}
		return c.b.Delete(c.key, nil)
	}
	c.row = c.p.writers.appendEntry(c.row[:0], n.now)
	if n.row != nil && slices.Equal(c.row, n.row) {
		return nil
	}
	return c.b.Set(c.key, c.row, nil)
}

// mark sets or deletes a row that says all by being there.
func (c *change) mark(key []byte, set bool) error {
	if set {
		return c.b.Set(key, nil, nil)
	}
	return c.b.Delete(key, nil)
}

// writeHave writes the row of the index and notes which content lies at n now.
func (c *change) writeHave(n *node) error {
	c.moveRefs(n)
	c.key = c.p.space.path(c.key[:0], tabIndex, n.path)
	if !n.has || n.now.collected {
		if n.haveRow == nil {
			return nil
		}
		return c.b.Delete(c.key, nil)
	}
	c.row = c.p.writers.appendHave(c.row[:0], n.have, n.current)
	if n.haveRow != nil && slices.Equal(c.row, n.haveRow) {
		return nil
	}
	return c.b.Set(c.key, c.row, nil)
}

// setHead makes h the head of its log.
func (c *change) setHead(number uint32, h event.Head) error {
	if !c.ownHeads { // the map in facts is still shared with those before
		c.facts.heads, c.ownHeads = maps.Clone(c.facts.heads), true
	}
	if h.Seq == 0 { // nothing of the log is left
		delete(c.facts.heads, h.Writer)
		return c.b.Delete(c.p.space.head(number), nil)
	}
	c.facts.heads[h.Writer] = h
	return c.b.Set(c.p.space.head(number), appendHead(nil, h), nil)
}

package store

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/cockroachdb/pebble/v2"
)

// Pool is what the node knows of one pool. It is safe for concurrent use.
type Pool struct {
	db      *DB
	id      event.PoolID
	space   space
	writers writers

	write   sync.Mutex // one change at a time
	dropped bool       // guarded by write
	latest  facts      // guarded by write: with every change that was applied

	shown atomic.Pointer[facts] // with every change that is durable
	first atomic.Pointer[firstNeeds]
}

// facts are what of a pool is held in memory. They are replaced, not changed.
type facts struct {
	seq    uint64 // of the change that made them
	heads  map[event.Writer]event.Head
	forks  map[event.Writer]branches // of logs that are not one chain
	roster *pool.Roster
	sums   sums
	voids  uint64
}

func loadPool(d *DB, id event.PoolID, s space) (*Pool, error) {
	p := &Pool{db: d, id: id, space: s}
	p.latest.heads = map[event.Writer]event.Head{}
	err := errors.Join(p.loadWriters(), p.loadHeads(), p.loadSums(), p.loadVoids(), p.loadRoster())
	if err != nil {
		return nil, err
	}
	open, err := p.loadForks()
	if err != nil {
		return nil, err
	}
	first := p.latest
	p.shown.Store(&first)
	return p, p.join(open)
}

func (p *Pool) loadWriters() error {
	return scan(p.db.pebble, p.space.table(nil, tabWriter), func(key, row []byte) error {
		r := &reader{b: row}
		w := r.writer()
		if err := r.end("writer"); err != nil {
			return err
		}
		n, fresh := p.writers.add(w)
		if !fresh || len(key) < 4 || n != binary.BigEndian.Uint32(key[len(key)-4:]) {
			return corrupt("numbers of writers")
		}
		return nil
	})
}

func (p *Pool) loadHeads() error {
	return scan(p.db.pebble, p.space.table(nil, tabHead), func(key, row []byte) error {
		w, ok := p.writers.at(uint64(binary.BigEndian.Uint32(key[len(key)-4:])))
		if !ok {
			return corrupt("head of an unknown writer")
		}
		h, err := readHead(w, row)
		p.latest.heads[w] = h
		return err
	})
}

func (p *Pool) loadSums() error {
	row, err := get(p.db.pebble, p.space.table(nil, tabSums))
	if err != nil || row == nil {
		return err
	}
	var whole bool
	if p.latest.sums, whole, err = readSums(row); err != nil || whole {
		return err
	}
	return p.treeRows(p.space.table(nil, tabTree), event.IsConflictName, func(path event.Path, v event.View) bool {
		p.latest.sums.tallyCopy(path, v.Value, 1)
		return true
	})
}

// ID is the pool's id.
func (p *Pool) ID() event.PoolID { return p.id }

// Heads are the heads of all logs here, ordered by writer. Where a log forked it is the head of the branch that came
// first. The slice is the caller's.
func (p *Pool) Heads() []event.Head {
	return slices.SortedFunc(maps.Values(p.shown.Load().heads), func(a, b event.Head) int {
		return a.Writer.Compare(b.Writer)
	})
}

// Head is the head of w's log, if any of it is here.
func (p *Pool) Head(w event.Writer) (event.Head, bool) {
	h, ok := p.shown.Load().heads[w]
	return h, ok
}

// Stats count what lives in the tree.
type Stats struct {
	Files, Dirs, Links int64
	Bytes              int64      // of all files
	Copies             int64      // live paths that are named as conflict copies
	Root               event.Hash // digest of the live entries: equal roots mean equal trees
	State              event.Sum  // over [event.State.Item] of each path, for repair
}

// Stats are those of the last durable commit. It reads no disk.
func (p *Pool) Stats() Stats {
	s := p.shown.Load().sums
	return Stats{
		Files: s.files, Dirs: s.dirs, Links: s.links, Bytes: s.bytes, Copies: s.copies,
		Root: s.live.Fingerprint(nil), State: s.state,
	}
}

// Get is the pool's fact of that key, as [DB.Get].
func (p *Pool) Get(key string) (val []byte, ok bool, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, false, err
	}
	defer p.db.gate.leave()
	val, err = get(p.db.pebble, append(p.space.table(nil, tabFact), key...))
	return val, val != nil, wrap("read fact "+key, err)
}

// Set is [DB.Set] for a fact of the pool.
func (p *Pool) Set(key string, val []byte) error {
	return p.change("write fact "+key, func(c *change) error {
		row := append(p.space.table(nil, tabFact), key...)
		if val == nil {
			return c.b.Delete(row, nil)
		}
		return c.b.Set(row, val, nil)
	})
}

// change runs f and writes what it did, with all that follows from it, as one durable batch. On an error nothing of it
// is kept.
func (p *Pool) change(act string, f func(*change) error) error {
	return p.changeFor(nil, act, f)
}

// changeFor is change that tells in res what came of it.
func (p *Pool) changeFor(res *Result, act string, f func(*change) error) error {
	if err := p.db.gate.enter(); err != nil {
		return err
	}
	defer p.db.gate.leave()
	b := p.db.pebble.NewBatch()
	defer func() { _ = b.Close() }() // frees memory, cannot fail
	now, err := p.apply(b, f, res)
	if err != nil {
		return wrap(act, err)
	}
	if now == nil {
		return nil
	}
	if err := b.SyncWait(); err != nil {
		return wrap(act, err)
	}
	p.show(now)
	return nil
}

// apply makes the change visible to reads of rows, but does not wait until it is durable, so that the next change may
// share its fsync. It returns nil facts when nothing changed.
func (p *Pool) apply(b *pebble.Batch, f func(*change) error, res *Result) (*facts, error) {
	p.write.Lock()
	defer p.write.Unlock()
	if p.dropped {
		return nil, ErrDropped
	}
	c := newChange(p, b)
	defer c.close()
	if err := c.run(f); err != nil || b.Empty() {
		p.writers.forget(c.writers)
		return nil, err
	}
	if err := p.db.pebble.ApplyNoSyncWait(b, pebble.Sync); err != nil {
		p.writers.forget(c.writers)
		return nil, err
	}
	c.facts.seq = p.latest.seq + 1
	p.latest = c.facts
	now := c.facts
	if res != nil {
		*res = c.result
	}
	return &now, nil
}

// show publishes facts that became durable, unless later ones did before.
func (p *Pool) show(now *facts) {
	for {
		old := p.shown.Load()
		if old.seq >= now.seq || p.shown.CompareAndSwap(old, now) {
			return
		}
	}
}

// Writable is [ErrDiskFull] while the disk that holds the state has so little room that every write is refused.
func (p *Pool) Writable() error {
	if err := p.db.gate.enter(); err != nil {
		return err
	}
	defer p.db.gate.leave()
	return p.db.room()
}

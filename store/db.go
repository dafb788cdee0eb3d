package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/bwaklog/meerkat/event"
)

// Format is the version of the rows that this package writes. A newer one is refused.
const Format = 1

// Config says where the state lies. Only Dir is needed.
type Config struct {
	Dir   string       // made when it is not there
	Log   *slog.Logger // nil: slog.Default
	FS    vfs.FS       // nil: the disk
	Cache int64        // bytes of the block cache; 0: 8 MiB
	// Fatal is called when nothing can be made durable any more, as where the disk fails. It must not return. nil: it panics.
	Fatal func(error)
}

const (
	defaultCache = 8 << 20
	memTable     = 4 << 20
	openFiles    = 256
	reserve      = 16 << 20 // bytes that must stay free on the disk: pebble cannot bear a log that it cannot write
)

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Cache == 0 {
		c.Cache = defaultCache
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	return c
}

func (c Config) validate() error {
	if c.Dir == "" || c.Cache < 0 {
		return fmt.Errorf("store: bad config: dir %q, cache %d", c.Dir, c.Cache)
	}
	return nil
}

// DB is the state of one node. Only one process at a time has it open.
type DB struct {
	pebble *pebble.DB
	lock   *pebble.Lock
	gate   gate
	log    *slog.Logger
	fs     vfs.FS
	dir    string

	ballast *ballast

	mu    sync.Mutex // held over the first reading of a pool, so that there is one Pool for each id
	pools map[event.PoolID]*Pool
}

// Open opens the state in c.Dir, or makes it. It blocks while the log of a crash is read back. Errors: *[LockedError]
// when another process has it, [ErrNewerFormat], [ErrCorrupt] with what to do, and those of the disk. Close it.
func Open(c Config) (*DB, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := MakeDir(c.FS, c.Dir); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := lockDir(c.FS, c.Dir)
	if err != nil {
		return nil, err
	}
	d, err := open(c, lock)
	if err != nil {
		return nil, errors.Join(wrap("open state "+c.Dir, err), lock.Close())
	}
	return d, nil
}

// MakeDir makes dir and the directories above it that are missing, for their owner alone, and their names durable: a
// power cut takes nothing of what is synced below them.
func MakeDir(fs vfs.FS, dir string) error {
	if fi, err := fs.Stat(dir); err == nil && fi.IsDir() {
		return nil
	}
	if up := fs.PathDir(dir); up != dir {
		if err := MakeDir(fs, up); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	d, err := fs.OpenDir(fs.PathDir(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func open(c Config, lock *pebble.Lock) (*DB, error) {
	b := &ballast{fs: c.FS, path: c.FS.PathJoin(c.Dir, ballastName), log: c.Log}
	_, err := c.FS.Stat(b.path)
	b.there = err == nil
	p, err := openPebble(c, lock, b)
	if err != nil {
		return nil, err
	}
	d := &DB{pebble: p, lock: lock, log: c.Log, fs: c.FS, dir: c.Dir, ballast: b, pools: map[event.PoolID]*Pool{}}
	if err := d.checkFormat(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return d, nil
}

func openPebble(c Config, lock *pebble.Lock, b *ballast) (*pebble.DB, error) {
	cache := pebble.NewCache(c.Cache)
	defer cache.Unref()
	p, err := pebble.Open(c.Dir, &pebble.Options{
		FS:                 vfs.OnDiskFull(c.FS, b.drop),
		Lock:               lock,
		Cache:              cache,
		MemTableSize:       memTable,
		MaxOpenFiles:       openFiles,
		FormatMajorVersion: pebble.FormatNewest,
		DisableTableStats:  true,
		Levels:             levels(),
		Logger:             quiet{c.Log, c.Fatal},
		EventListener:      listener(quiet{c.Log, c.Fatal}),
	})
	switch {
	case err == nil:
		return p, nil
	case strings.Contains(err.Error(), "unknown format major version"):
		return nil, fmt.Errorf("%w: %w", ErrNewerFormat, err)
	case isDiskTrouble(err):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// isDiskTrouble tells a disk that does not work now from bytes that are wrong.
func isDiskTrouble(err error) bool {
	for _, e := range []error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EACCES, syscall.EPERM,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func levels() (ls [7]pebble.LevelOptions) {
	for i := range ls {
		ls[i].FilterPolicy = bloom.FilterPolicy(10)
		ls[i].IndexBlockSize = 128 << 10
	}
	return ls
}

// checkFormat writes the version into an empty database and compares it in any other.
func (d *DB) checkFormat() error {
	row, err := get(d.pebble, []byte{tabVersion})
	switch {
	case err != nil:
		return err
	case row == nil:
		return d.stamp()
	}
	r := &reader{b: row}
	v := r.uvarint()
	if err := r.end("format version"); err != nil {
		return err
	}
	if v > Format {
		return fmt.Errorf("%w: its format is %d, this one reads up to %d", ErrNewerFormat, v, Format)
	}
	return nil
}

func (d *DB) stamp() error {
	it, err := d.pebble.NewIter(nil)
	if err != nil {
		return err
	}
	some := it.First()
	if err := it.Close(); err != nil {
		return err
	}
	if some {
		return corrupt("format version is missing")
	}
	return d.pebble.Set([]byte{tabVersion}, binary.AppendUvarint(nil, Format), pebble.Sync)
}

// Close waits for the calls that are under way and closes the database. Further calls get [ErrClosed]. It may be
// called twice.
func (d *DB) Close() error {
	if !d.gate.shut() {
		return nil
	}
	return errors.Join(wrap("close state", d.pebble.Close()), d.lock.Close())
}

// Get is the node's fact of that key; ok is false when there is none. The slice is the caller's.
func (d *DB) Get(key string) (val []byte, ok bool, err error) {
	if err := d.gate.enter(); err != nil {
		return nil, false, err
	}
	defer d.gate.leave()
	val, err = get(d.pebble, append([]byte{tabFact}, key...))
	return val, val != nil, wrap("read fact "+key, err)
}

// Set makes val the node's fact of that key, or forgets the key when val is nil. It is durable when Set returns.
func (d *DB) Set(key string, val []byte) error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	return wrap("write fact "+key, d.put(append([]byte{tabFact}, key...), val))
}

func (d *DB) put(key, val []byte) error {
	if err := d.room(); err != nil {
		return err
	}
	if val == nil {
		return d.pebble.Delete(key, pebble.Sync)
	}
	return d.pebble.Set(key, val, pebble.Sync)
}

// Keys are the keys of the node's facts that start with prefix, in order.
func (d *DB) Keys(prefix string) (keys []string, err error) {
	if err := d.gate.enter(); err != nil {
		return nil, err
	}
	defer d.gate.leave()
	err = scan(d.pebble, append([]byte{tabFact}, prefix...), func(key, _ []byte) error {
		keys = append(keys, string(key[1:]))
		return nil
	})
	return keys, wrap("list facts", err)
}

// Pools are the ids of all pools here, in order.
func (d *DB) Pools() (ids []event.PoolID, err error) {
	if err := d.gate.enter(); err != nil {
		return nil, err
	}
	defer d.gate.leave()
	err = scan(d.pebble, []byte{tabPools}, func(key, _ []byte) error {
		if len(key) != 1+len(event.PoolID{}) {
			return corrupt("key of a pool")
		}
		ids = append(ids, event.PoolID(key[1:]))
		return nil
	})
	return ids, wrap("list pools", err)
}

// Pool is the pool of that id, made on first use. All callers share one.
func (d *DB) Pool(id event.PoolID) (*Pool, error) {
	if err := d.gate.enter(); err != nil {
		return nil, err
	}
	defer d.gate.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.pools[id]; ok {
		return p, nil
	}
	n, err := d.numberOf(id)
	if err != nil {
		return nil, wrap("open pool", err)
	}
	p, err := loadPool(d, id, newSpace(n))
	if err != nil {
		return nil, wrap("open pool "+id.String(), err)
	}
	d.pools[id] = p
	return p, nil
}

// numberOf reads the number of a pool, or gives it the first one above all others.
func (d *DB) numberOf(id event.PoolID) (uint32, error) {
	key := append([]byte{tabPools}, id[:]...)
	row, err := get(d.pebble, key)
	if err != nil {
		return 0, err
	}
	if row != nil {
		return readNumber(row)
	}
	next := uint32(1)
	err = scan(d.pebble, []byte{tabPools}, func(_, row []byte) error {
		n, err := readNumber(row)
		next = max(next, n+1)
		return err
	})
	if err != nil {
		return 0, err
	}
	return next, d.put(key, binary.BigEndian.AppendUint32(nil, next))
}

func readNumber(row []byte) (uint32, error) {
	if len(row) != 4 {
		return 0, corrupt("number of a pool")
	}
	return binary.BigEndian.Uint32(row), nil
}

// Drop forgets all about a pool, for good. It waits for a write to that pool that is under way; later calls on its
// [Pool] get [ErrDropped] or find nothing. No file is touched.
func (d *DB) Drop(id event.PoolID) error {
	p, err := d.Pool(id)
	if err != nil {
		return err
	}
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	p.write.Lock()
	defer p.write.Unlock()
	p.dropped = true
	b := d.pebble.NewBatch()
	defer func() { _ = b.Close() }() // frees memory, cannot fail
	prefix := p.space[:]
	err = errors.Join(
		b.DeleteRange(prefix, after(prefix), nil),
		b.Delete(append([]byte{tabPools}, id[:]...), nil),
		b.Commit(pebble.Sync))
	if err != nil {
		return wrap("drop pool", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pools, id)
	return nil
}

// room refuses a write while the disk is nearly full.
func (d *DB) room() error {
	u, err := d.fs.GetDiskUsage(d.dir)
	switch {
	case err != nil:
		return nil //nolint:nilerr // a file system that cannot tell is taken to have room
	case u.AvailBytes < reserve:
		return fmt.Errorf("%w: %d bytes are free, and %d are needed", ErrDiskFull, u.AvailBytes, reserve)
	}
	d.ballast.lay(u.AvailBytes)
	return nil
}

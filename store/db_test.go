package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestFactsAreKept(t *testing.T) {
	mem := vfs.NewMem()
	d := open(t, mem, "state")
	for _, key := range []string{"join/1", "join/2", "other"} {
		if err := d.Set(key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(d.Set("join/2", nil), d.Set("empty", []byte{}), d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Get("other"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get of a closed state: %v, want ErrClosed", err)
	}
	d = open(t, mem, "state")
	defer func() { _ = d.Close() }() // the test is over
	if keys := must[[]string](t)(d.Keys("join/")); !slices.Equal(keys, []string{"join/1"}) {
		t.Errorf("Keys = %v, want join/1", keys)
	}
	for key, want := range map[string]bool{"other": true, "join/2": false, "empty": true} {
		val, ok, err := d.Get(key)
		if err != nil || ok != want || key == "other" && string(val) != key {
			t.Errorf("Get(%s) = %q, %v, %v, want it there: %v", key, val, ok, err, want)
		}
	}
	p := must[*store.Pool](t)(d.Pool(event.PoolID{1}))
	if err := p.Set("epoch", []byte("7")); err != nil {
		t.Fatal(err)
	}
	if val, ok, err := p.Get("epoch"); !ok || err != nil || string(val) != "7" {
		t.Errorf("Get of a pool's fact = %q, %v, %v", val, ok, err)
	}
	if _, ok, _ := d.Get("epoch"); ok {
		t.Error("a pool's fact is the node's as well")
	}
}

func TestDropForgetsOnePool(t *testing.T) {
	mem := vfs.NewMem()
	d := open(t, mem, "state")
	c, other := newClan(t, 1), event.PoolID{9}
	p := enter(t, d, c)
	must[*store.Pool](t)(d.Pool(other))
	must[store.Result](t)(p.Append(c.authors[0].say(t, one(c, "x", "x"))...))
	if err := d.Drop(c.id); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Commit(store.Tx{Put: row("x", file("x"))}); !errors.Is(err, store.ErrDropped) {
		t.Errorf("Commit to a dropped pool: %v, want ErrDropped", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, mem, "state")
	defer func() { _ = d.Close() }() // the test is over
	if ids := must[[]event.PoolID](t)(d.Pools()); !slices.Equal(ids, []event.PoolID{other}) {
		t.Errorf("Pools = %v, want the other one", ids)
	}
	p = must[*store.Pool](t)(d.Pool(c.id))
	if p.Roster() != nil || len(p.Heads()) != 0 || p.Stats() != must[*store.Pool](t)(d.Pool(other)).Stats() {
		t.Error("a dropped pool is still known")
	}
}

func TestStateInUse(t *testing.T) {
	if dir := os.Getenv("STORE_TEST_DIR"); dir != "" { // the other process
		_, err := store.Open(store.Config{Dir: dir})
		fmt.Println(err)
		return
	}
	dir := t.TempDir()
	d := open(t, vfs.Default, dir)
	defer func() { _ = d.Close() }() // the test is over
	_, err := store.Open(store.Config{Dir: dir})
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("Open twice: %v, want that this process has it", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestStateInUse$")
	cmd.Env = append(os.Environ(), "STORE_TEST_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("the state in %s is in use by process %d", dir, os.Getpid()); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("Open by another process: %v\n%s\nwant: %s", err, out, want)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	mem := vfs.NewMem()
	d := open(t, mem, "state")
	if err := errors.Join(d.SetFormat(store.Format+1), d.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(store.Config{Dir: "state", FS: mem})
	if !errors.Is(err, store.ErrNewerFormat) || !strings.Contains(err.Error(), "2") || !strings.Contains(err.Error(), "up to 1") {
		t.Errorf("Open = %v, want ErrNewerFormat with both versions", err)
	}
	if _, err := store.Open(store.Config{Dir: "state", FS: mem}); !errors.Is(err, store.ErrNewerFormat) {
		t.Errorf("Open again = %v: the lock was kept", err)
	}
}

// fill writes some pools' worth of rows and moves them into tables.
func fill(t *testing.T, dir string) {
	t.Helper()
	c := newClan(t, 1)
	d := open(t, vfs.Default, dir)
	p := enter(t, d, c)
	drafts, puts := forest(c, 500)
	put(t, p, store.Tx{Segments: c.authors[0].say(t, drafts...), Put: puts})
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	put(t, p, store.Tx{Segments: c.authors[0].say(t, one(c, "last", "last"))})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// read reads everything that there is.
func read(dir string) error {
	d, err := store.Open(store.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ids, err := d.Pools()
	for _, id := range ids {
		p, perr := d.Pool(id)
		if perr == nil {
			_, perr = p.Verify(false)
		}
		err = errors.Join(err, perr)
	}
	return errors.Join(err, d.Close())
}

// TestDamageIsAClearError flips a byte, cuts, or empties each file of the state: what is read is then either right or
// refused, with the advice, and nothing panics.
func TestDamageIsAClearError(t *testing.T) {
	whole := t.TempDir()
	fill(t, whole)
	harm := map[string]func([]byte) []byte{
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 0x40; return b },
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"emptied": func([]byte) []byte { return nil },
		"noise":   func(b []byte) []byte { return []byte(strings.Repeat("noise", len(b)/5+1)) },
	}
	refused := 0
	for _, name := range slices.Sorted(maps.Keys(harm)) {
		err := fs.WalkDir(os.DirFS(whole), ".", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || strings.HasPrefix(path, "LOCK") || strings.HasPrefix(path, "PID") {
				return err
			}
			t.Run(name+"/"+path, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "state")
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				b := must[[]byte](t)(os.ReadFile(filepath.Join(dir, path)))
				if len(b) == 0 {
					t.Skip("empty")
				}
				if err := os.WriteFile(filepath.Join(dir, path), harm[name](b), 0o600); err != nil {
					t.Fatal(err)
				}
				switch err := read(dir); {
				case err == nil:
				case !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewerFormat):
					t.Errorf("read = %v, want ErrCorrupt", err)
				default:
					refused++
				}
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if refused < 5 {
		t.Errorf("only %d damages were noticed", refused)
	}
}

func TestOpenOfWhatIsNoDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := store.Open(store.Config{Dir: path}); err == nil {
		t.Errorf("Open of a file worked: %v", d.Close())
	}
	if _, err := store.Open(store.Config{}); err == nil {
		t.Error("Open of nothing worked")
	}
}

// full is a file system that says it has no room.
type full struct {
	vfs.FS
	is bool
}

func (f *full) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if f.is {
		return vfs.DiskUsage{AvailBytes: 1}, nil
	}
	return vfs.DiskUsage{AvailBytes: 1 << 40}, nil
}

// TestFullDiskRefusesAndRecovers also shows that a writer whose first segment was refused gets no number that a later
// row could name without there being a row for it.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	disk := &full{FS: vfs.NewMem()}
	c := newClan(t, 3)
	d := open(t, disk, "state")
	p := enter(t, d, c)
	a, b := c.authors[1], c.authors[2]
	disk.is = true
	first := a.say(t, one(c, "x", "x"))
	if _, err := p.Append(first...); !errors.Is(err, store.ErrDiskFull) {
		t.Fatalf("Append on a full disk: %v, want ErrDiskFull", err)
	}
	if s := p.Stats(); s.Files != 0 || len(p.Heads()) != 0 {
		t.Errorf("a refused append left traces: %+v", s)
	}
	disk.is = false
	k := event.Known{Base: event.Vector{a.head.Writer: 1}}
	must[store.Result](t)(p.Append(b.say(t, event.Change("y", k, file("y"), c.now()))...))
	put(t, p, store.Tx{Put: map[event.Path]store.Have{"z": {Known: event.Known{Value: file("z"), Base: k.Base}}}})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, disk, "state")
	defer func() { _ = d.Close() }() // the test is over
	p = enter(t, d, c)
	h, ok, err := p.Have("z")
	if err != nil || !ok || !h.Known.Base.Equal(k.Base) {
		t.Errorf("Have = %v, %v, %v, want base %v", h.Known.Base, ok, err, k.Base)
	}
	must[store.Result](t)(p.Append(first...))
	noFaults(t, p)
}

func TestManyAtOnce(t *testing.T) {
	c := newClan(t, 4)
	d := open(t, vfs.NewMem(), "state")
	p := enter(t, d, c)
	var wg sync.WaitGroup
	for i, a := range c.authors {
		var segs []event.Segment
		for n := range 30 {
			segs = append(segs, a.say(t, one(c, event.Path(fmt.Sprintf("d%d/f%d", n%5, i)), fmt.Sprint(n)))...)
		}
		wg.Go(func() {
			for _, s := range segs {
				if _, err := p.Append(s); err != nil {
					t.Errorf("Append: %v", err)
				}
				if h, _ := p.Head(s.Writer); h.Seq < s.Last() {
					t.Errorf("Head = %d after Append of %d", h.Seq, s.Last())
				}
			}
		})
		wg.Go(func() {
			for range 30 {
				path := event.Path(fmt.Sprintf("d%d/f%d", i, i))
				if _, err := p.Commit(store.Tx{Put: row(path, file("1"))}); err != nil {
					t.Errorf("Commit: %v", err)
				}
				_ = p.Stats()
				_ = p.Needs("", 5)
				if err := p.Tree(func(path event.Path, _ event.View) bool { _, _, err := p.Have(path); return err == nil }); err != nil {
					t.Errorf("Tree: %v", err)
				}
			}
		})
	}
	wg.Wait()
	noFaults(t, p)
	wg.Go(func() { _ = p.Tree(func(event.Path, event.View) bool { return true }) }) // either all or ErrClosed
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// tight is a disk that turns out to be full in the middle of a write, until something is removed from it.
type tight struct {
	vfs.FS
	full atomic.Bool
}

func (f *tight) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: 1 << 40}, nil
}

type tightFile struct {
	vfs.File
	disk *tight
}

func (f *tight) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	h, err := f.FS.Create(name, c)
	return &tightFile{h, f}, err
}

func (f *tight) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	h, err := f.FS.ReuseForWrite(old, name, c)
	return &tightFile{h, f}, err
}

func (f *tight) Remove(name string) error {
	err := f.FS.Remove(name)
	if err == nil {
		f.full.Store(false)
	}
	return err
}

func (f *tightFile) Write(b []byte) (int, error) {
	if f.disk.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(b)
}

// TestDiskFullInTheMiddleOfAWrite: the ballast is given up for what has begun, and laid again later.
func TestDiskFullInTheMiddleOfAWrite(t *testing.T) {
	disk := &tight{FS: vfs.NewMem()}
	d := must[*store.DB](t)(store.Open(store.Config{Dir: "state", FS: disk, Fatal: func(err error) { t.Error(err); runtime.Goexit() }}))
	ballast := func() bool { _, err := disk.Stat("state/BALLAST"); return err == nil }
	for round := range 2 {
		for i := range 3 {
			if err := d.Set(fmt.Sprintf("k%d", i), []byte("v")); err != nil {
				t.Fatal(err)
			}
		}
		if !ballast() {
			t.Fatalf("round %d: no ballast is laid", round)
		}
		disk.full.Store(true)
		if err := d.Set("k", fmt.Append(nil, round)); err != nil {
			t.Errorf("round %d: a write that had begun: %v", round, err)
		}
		if ballast() {
			t.Errorf("round %d: the ballast is still there", round)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	d = must[*store.DB](t)(store.Open(store.Config{Dir: "state", FS: disk}))
	defer func() { _ = d.Close() }() // the test is over
	if v, _, err := d.Get("k"); string(v) != "1" || err != nil {
		t.Errorf("k = %q, %v, want what was written last", v, err)
	}
}

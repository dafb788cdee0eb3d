package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

const (
	// diarySize is how many happenings a node remembers for `meerkat events`.
	diarySize  = 4096
	diaryFlush = time.Second

	fileChanged = "file.changed"
	fileDeleted = "file.deleted"

	diaryLine = 64 << 10 // bytes of the longest line that is read back
)

// diary is a bounded list of what happened on this node. It is kept in a file
// beside the state, written behind by at most a second: it is a convenience,
// no fact rests on it.
type diary struct {
	path string // "": in memory alone
	log  *slog.Logger

	mu     sync.Mutex
	lines  []EventInfo
	nums   []uint64      // the cursors of lines, growing
	next   uint64        // the least cursor that the next line may have
	unsent []EventInfo   // not in the file yet
	inFile int           // lines in the file
	wake   chan struct{} // closed and renewed with each line
}

// newDiary takes up what the file at path remembers; trouble with it is told,
// and the diary begins anew.
func newDiary(path string, log *slog.Logger) (*diary, error) {
	d := &diary{path: path, log: log, next: uint64(time.Now().UnixMilli()) << 16, wake: make(chan struct{})}
	if path == "" {
		return d, nil
	}
	for _, p := range []string{path + ".1", path} {
		if err := d.load(p); err != nil {
			return d, fmt.Errorf("read %s: %w", p, err)
		}
	}
	d.trim()
	return d, nil
}

// load appends the lines of a file. A line that cannot be read, as a crash may
// leave one, is passed over.
func (d *diary) load(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() // only read
	d.inFile = 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, diaryLine)
	for lines.Scan() {
		d.inFile++
		var e EventInfo
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		n, err := strconv.ParseUint(e.Cursor, 36, 64)
		if err != nil || len(d.nums) > 0 && n <= d.nums[len(d.nums)-1] {
			continue
		}
		d.lines, d.nums = append(d.lines, e), append(d.nums, n)
		d.next = max(d.next, n+1)
	}
	return lines.Err()
}

// add stamps e and keeps it; the oldest line goes when the diary is full.
func (d *diary) add(e EventInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.Schema, e.Time = SchemaEvent, time.Now().UTC()
	e.Cursor = strconv.FormatUint(d.next, 36)
	d.lines, d.nums = append(d.lines, e), append(d.nums, d.next)
	if d.path != "" {
		d.unsent = append(d.unsent, e)
	}
	d.next++
	if len(d.lines) > diarySize {
		d.trim()
	}
	close(d.wake)
	d.wake = make(chan struct{})
}

// trim drops the oldest lines, a quarter at a time.
func (d *diary) trim() {
	if len(d.lines) <= diarySize {
		return
	}
	drop := len(d.lines) - diarySize + diarySize/4
	d.lines = append(d.lines[:0:0], d.lines[drop:]...)
	d.nums = append(d.nums[:0:0], d.nums[drop:]...)
	if len(d.unsent) > diarySize {
		d.unsent = d.unsent[len(d.unsent)-diarySize:]
	}
}

// Run writes the diary to its file now and then, until ctx ends, and a last
// time then.
func (d *diary) Run(ctx context.Context) error {
	for sleep(ctx, diaryFlush) {
		d.flush()
	}
	d.flush()
	return nil
}

// flush writes what is new. A disk that takes nothing costs the memory of
// these lines beyond this run, and nothing else.
func (d *diary) flush() {
	if err := d.write(); err != nil {
		d.log.Debug("keep events", "err", err)
	}
}

// write appends what is new to the file; a file that is full becomes the older
// one of two.
func (d *diary) write() error {
	d.mu.Lock()
	lines := d.unsent
	d.unsent = nil
	full := d.inFile+len(lines) > diarySize
	d.mu.Unlock()
	if len(lines) == 0 || d.path == "" {
		return nil
	}
	if full {
		if err := os.Rename(d.path, d.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	n, err := appendLines(d.path, lines)
	d.mu.Lock()
	defer d.mu.Unlock()
	if full {
		d.inFile = 0
	}
	d.inFile += n
	return err
}

func appendLines(path string, lines []EventInfo) (int, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriter(f)
	for _, e := range lines {
		b, err := json.Marshal(e)
		if err != nil {
			return 0, errors.Join(err, f.Close())
		}
		_, _ = w.Write(append(b, '\n')) // Flush tells
	}
	return len(lines), errors.Join(w.Flush(), f.Close())
}

// after returns the lines from cursor on, the cursor to go on from, and a
// channel that is closed when there are more.
func (d *diary) after(cursor uint64) ([]EventInfo, uint64, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := sort.Search(len(d.nums), func(i int) bool { return d.nums[i] >= cursor })
	return append([]EventInfo(nil), d.lines[i:]...), max(d.next, cursor), d.wake
}

// lastChange is when a file of a pool was changed last, as far as is remembered.
func (d *diary) lastChange(pool string) *time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.lines) - 1; i >= 0; i-- {
		if e := d.lines[i]; e.Pool == pool && (e.Type == fileChanged || e.Type == fileDeleted) {
			return &e.Time
		}
	}
	return nil
}

// follow gives yield each line behind since, and then those to come.
func (d *diary) follow(ctx context.Context, since string, on bool, yield func(EventInfo) error) error {
	cursor, err := d.cursor(since, on)
	if err != nil {
		return err
	}
	for {
		lines, next, wake := d.after(cursor)
		for _, e := range lines {
			if err := yield(e); err != nil {
				return err
			}
		}
		cursor = next
		if !on {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
	}
}

// cursor reads since: the line it names has been seen. Without it, following
// starts now and a plain list shows all that is remembered.
func (d *diary) cursor(since string, on bool) (uint64, error) {
	if since != "" {
		c, err := strconv.ParseUint(since, 36, 64)
		if err != nil {
			return 0, trouble("bad_cursor", nil, "the cursor %q is not one of this program's", since)
		}
		return c + 1, nil
	}
	if !on {
		return 0, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next, nil
}

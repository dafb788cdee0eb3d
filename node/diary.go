package node

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// diarySize is how many happenings a node remembers for `meerkat events`.
const diarySize = 4096

// diary is a bounded list of what happened on this node since it started.
type diary struct {
	mu    sync.Mutex
	first uint64 // cursor of lines[0]
	lines []EventInfo
	wake  chan struct{} // closed and renewed with each line
}

func newDiary() *diary {
	return &diary{first: uint64(time.Now().UnixMilli()) << 16, wake: make(chan struct{})}
}

// add stamps e and keeps it; the oldest line goes when the diary is full.
func (d *diary) add(e EventInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.Schema, e.Time = SchemaEvent, time.Now().UTC()
	e.Cursor = strconv.FormatUint(d.first+uint64(len(d.lines)), 36)
	if len(d.lines) >= diarySize {
		drop := diarySize / 4
		d.lines = append(d.lines[:0:0], d.lines[drop:]...)
		d.first += uint64(drop)
	}
	d.lines = append(d.lines, e)
	close(d.wake)
	d.wake = make(chan struct{})
}

// after returns the lines behind cursor, the cursor to go on from, and a
// channel that is closed when there are more.
func (d *diary) after(cursor uint64) ([]EventInfo, uint64, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.first + uint64(len(d.lines))
	if cursor < d.first {
		cursor = d.first
	}
	if cursor >= next {
		return nil, next, d.wake
	}
	return append([]EventInfo(nil), d.lines[cursor-d.first:]...), next, d.wake
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
			return 0, &Error{
				Code: "bad_cursor", Message: "the cursor " + strconv.Quote(since) + " is not one of this program's",
				Hint: "take it from the field cursor of an earlier line", Exit: 2, Err: err,
			}
		}
		return c + 1, nil
	}
	if !on {
		return 0, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.first + uint64(len(d.lines)), nil
}

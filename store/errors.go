package store

import (
	"errors"
	"fmt"

	"github.com/bwaklog/meerkat/event"
	"github.com/cockroachdb/pebble/v2"
)

var (
	// ErrCorrupt: what was read is not what was written.
	ErrCorrupt = errors.New("the state is damaged; move the state directory away and start again: " +
		"the node then re-enters its pools in merge mode, and no file is lost")
	// ErrNewerFormat: a newer meerkat wrote this state. Nothing was changed.
	ErrNewerFormat = errors.New("the state was written by a newer meerkat")
	// ErrClosed: the database was closed.
	ErrClosed = errors.New("the state is closed")
	// ErrDropped: the pool was dropped from this node.
	ErrDropped = errors.New("the pool was left")
	// ErrNoGenesis: the pool's roster is not known yet, so nobody may write.
	ErrNoGenesis = errors.New("the pool's genesis is not known")
	// ErrForeign: a record or a segment is of another pool.
	ErrForeign = errors.New("belongs to another pool")
	// ErrNoManifest: content is to be remembered of which no list of chunks is known.
	ErrNoManifest = errors.New("no manifest of this content is known")
	// ErrDiskFull: the disk that holds the state is nearly full, so nothing was written. It may be tried again.
	ErrDiskFull = errors.New("the disk that holds the state is full")
)

// LockedError says that another process has the state open.
type LockedError struct {
	Dir string
	PID int // 0 when it is not known
	Err error
}

// Error names the directory and, where it is known, the process.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("the state in %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("the state in %s is in use by process %d", e.Dir, e.PID)
}

// Unwrap is the error of the lock.
func (e *LockedError) Unwrap() error { return e.Err }

// ErrGap refuses a segment whose predecessors are not here. Have is the last seq of that writer that is.
type ErrGap struct {
	Writer event.Writer
	Have   uint64
}

// Error names the writer and what is here.
func (e ErrGap) Error() string {
	return fmt.Sprintf("log of %s: nothing after seq %d is here yet", e.Writer.Node, e.Have)
}

// ErrFork reports that a writer signed two different things for one seq. Both are kept and both count.
// Ours and Theirs are the raw segments that prove it (Theirs is the one that came now).
// Hole says that the start of the other branch is not here: After(Writer, 0) of whoever sent this has it.
type ErrFork struct {
	Writer       event.Writer
	Seq          uint64 // the first seq of Theirs
	Ours, Theirs []byte
	Hole         bool
}

// Error names the writer and the seq.
func (e ErrFork) Error() string {
	return fmt.Sprintf("log of %s forked at seq %d", e.Writer.Node, e.Seq)
}

// wrap adds the act to err, and marks what pebble calls corruption.
func wrap(act string, err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%s: %w: %w", act, ErrCorrupt, err)
	}
	return fmt.Errorf("%s: %w", act, err)
}

// corrupt is an ErrCorrupt about one kind of row.
func corrupt(what string) error { return fmt.Errorf("%s: %w", what, ErrCorrupt) }

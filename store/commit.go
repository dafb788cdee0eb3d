package store

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// Tx is a set of facts that become true together.
type Tx struct {
	Segments []event.Segment     // own ones, freshly sealed
	Put      map[event.Path]Have // rows of the index
	Forget   []event.Path        // rows of the index to be taken away
	// Manifests of the files in Put and the versions in AddVersions, where the value does not list the chunks itself
	// and the content was not known before.
	Manifests    []chunker.Manifest
	AddVersions  []Version
	DropVersions []Version
	Close        []event.Path // intents that are done
	// Reasons say why the needs wait that Put makes; a path that needs nothing then is passed over.
	Reasons map[event.Path]Reason
}

// Reason is why a need waits, for programs and for people.
type Reason struct{ Code, Message string }

// Version is a file below .meerkat/versions.
type Version struct {
	Path event.Path // below that directory
	Root chunker.ID
}

// Commit makes all of tx true, or nothing. It is durable when it returns. Where the new row of a path has the value
// that the tree wants, its base, dots and former roots are taken from there: the caller need not know them. Errors:
// [ErrGap] or [ErrFork] when the segments do not follow the head of their log, those of [pool.Roster.MayWrite],
// [ErrNoManifest], [ErrDiskFull]. Commit keeps nothing of tx.
func (p *Pool) Commit(tx Tx) (Result, error) {
	var res Result
	err := p.changeFor(&res, "commit", func(c *change) error { return c.commit(tx) })
	if err != nil {
		return Result{}, err
	}
	return res, nil
}

func (c *change) commit(tx Tx) error {
	for _, s := range tx.Segments {
		if err := c.own(s); err != nil {
			return err
		}
	}
	c.reasons = tx.Reasons
	for _, m := range tx.Manifests {
		c.lists.add(m)
	}
	if err := c.commitIndex(tx); err != nil {
		return err
	}
	for _, v := range tx.DropVersions {
		c.refs[ref{v.Root, refVersion, v.Path}] = false
	}
	for _, v := range tx.AddVersions {
		c.refs[ref{v.Root, refVersion, v.Path}] = true
	}
	for _, path := range tx.Close {
		if err := c.finish(path); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) commitIndex(tx Tx) error {
	for _, path := range tx.Forget {
		if _, err := event.ParsePath([]byte(path)); err != nil {
			return err
		}
		if err := c.forget(path); err != nil {
			return err
		}
	}
	for _, path := range slices.SortedFunc(maps.Keys(tx.Put), comparePaths) {
		h := tx.Put[path]
		if _, err := event.ParsePath([]byte(path)); err != nil {
			return err
		}
		if h.Known.Value.Kind > event.Link {
			return fmt.Errorf("%s: kind %v", path, h.Known.Value.Kind)
		}
		if err := c.put(path, h); err != nil {
			return err
		}
	}
	return nil
}

// own takes in a segment of the node itself, which must follow the head.
func (c *change) own(s event.Segment) error {
	if err := c.admissible(s); err != nil {
		return err
	}
	if known, err := c.knows(s); known || err != nil {
		return err // a commit that is tried again
	}
	branch, fault, err := c.place(s)
	if err != nil {
		return err
	}
	if fault != nil {
		return fault
	}
	return c.take(s, byte(branch), true)
}

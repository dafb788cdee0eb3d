// Package rot damages a file or the state of a node that is not running as a failing disk does. It is for tests; no program uses it.
package rot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
	"github.com/cockroachdb/pebble/v2"
)

// File flips a bit in the middle of the file name in the folder dir of the node's first pool. No program can write a file
// and leave its inode's times as they were, so it is the index that is made to know the new times.
func File(home, dir, name string) (err error) {
	file := filepath.Join(dir, name)
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return err
	}
	db, err := store.Open(store.Config{Dir: filepath.Join(home, "state")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ids, err := db.Pools()
	if err != nil {
		return err
	}
	f, err := folder.Open(folder.Config{Root: dir, Pool: ids[0]})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return reindex(db, ids[0], f, event.Path(name))
}

// reindex makes the index believe that a file is as it was written.
func reindex(db *store.DB, id event.PoolID, f *folder.Folder, p event.Path) error {
	pool, err := db.Pool(id)
	if err != nil {
		return err
	}
	st, _, err := f.Lstat(p)
	if err != nil {
		return err
	}
	have, _, err := pool.Have(p)
	if err != nil {
		return err
	}
	have.Stat, have.Racy = store.Stat(st), false
	_, err = pool.Commit(store.Tx{Put: map[event.Path]store.Have{p: have}})
	return err
}

// State deletes all rows by which the node's state knows what the pool has at a path, behind the store's back: logs, and so
// heads, stay as they are. The path's last name must be its own in the pool: that is how rows end.
func State(home string, p event.Path) error {
	db, err := pebble.Open(filepath.Join(home, "state"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		return err
	}
	gone, err := forget(db, p)
	if err = errors.Join(err, db.Close()); err == nil && gone != 2 {
		err = fmt.Errorf("%d rows know of %s, want one of the tree and one of the states to reconcile", gone, p)
	}
	return err
}

// forget deletes the rows of a path in the tables of trees and of states.
func forget(db *pebble.DB, p event.Path) (gone int, err error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if k := it.Key(); k[0] == 'p' && (k[5] == 't' || k[5] == 'm') && bytes.HasSuffix(k, []byte(p.Base())) {
			gone++
			if err := db.Delete(bytes.Clone(k), pebble.Sync); err != nil {
				return gone, err
			}
		}
	}
	return gone, it.Error()
}

// quiet is a logger of pebble that says nothing.
type quiet struct{}

// Infof says nothing.
func (quiet) Infof(string, ...any) {}

// Errorf says nothing: what fails comes back as an error.
func (quiet) Errorf(string, ...any) {}

// Fatalf ends the test that damages a state that cannot be opened at all.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

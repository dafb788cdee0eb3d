// Package rot damages a file of a node that is not running as a failing disk does. It is for tests; no program uses it.
package rot

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
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

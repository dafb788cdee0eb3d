package node

import (
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// object is a file on a disk, whatever its names.
type object struct{ dev, ino uint64 }

// kin are the files with several names that were changed in place since the
// last look: the kernel tells of the name that was used and not of the others.
// The disk guards it.
type kin map[object]int64 // to the ctime that was seen

// noteKin takes in a change of s, which stood in the index as have.
func (r *replica) noteKin(s folder.Seen, have store.Have) {
	if s.Gone || s.Value.Kind != event.File || s.Stat.Dev != have.Stat.Dev || s.Stat.Ino != have.Stat.Ino {
		return
	}
	if n, err := r.fold.Names(s.Path); err != nil || n < 2 { // it went meanwhile, or the system does not tell
		return
	}
	if r.kin == nil {
		r.kin = kin{}
	}
	r.kin[object{s.Stat.Dev, s.Stat.Ino}] = s.Stat.CTime
}

// lookAtKin has the other names of files that were changed in place scanned as
// well.
func (r *replica) lookAtKin() error {
	r.disk.Lock()
	changed := r.kin
	r.kin = nil
	r.disk.Unlock()
	if len(changed) == 0 {
		return nil
	}
	return r.st.Index(func(p event.Path, h store.Have) bool {
		if ctime, ok := changed[object{h.Stat.Dev, h.Stat.Ino}]; ok && h.Stat.CTime != ctime {
			r.markDirty(p, false)
		}
		return true
	})
}

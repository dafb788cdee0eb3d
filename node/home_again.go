package node

import (
	"path/filepath"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
)

// left is a pool of this node's config that it was removed from: it may join
// that one again.
func (h *Home) left(id event.PoolID) (HomePool, bool) {
	for _, p := range h.Pools() {
		if p.ID != id {
			continue
		}
		_, ro, err := h.roster(id)
		if err != nil {
			return HomePool{}, false
		}
		_, out := ro.Removed(h.id)
		return p, out
	}
	return HomePool{}, false
}

// goesBack reports whether dir is the folder of a pool that this node was
// removed from.
func (h *Home) goesBack(dir string) bool {
	for _, p := range h.Pools() {
		if _, out := h.left(p.ID); out && p.Path == filepath.Clean(dir) {
			return true
		}
	}
	return false
}

// reenter takes the records of a readmission into a pool that is still here.
func (h *Home) reenter(p HomePool, ro *pool.Roster, dir string) (PoolInfo, error) {
	if p.Path != filepath.Clean(dir) {
		return PoolInfo{}, trouble("folder_taken", nil, "this node has the pool %q in %s", ro.Name(), p.Path)
	}
	st, err := h.db.Pool(p.ID)
	if err == nil {
		_, err = st.AddRecords(ro.Records())
	}
	if err != nil {
		return PoolInfo{}, stateTrouble(h.StateDir(), err)
	}
	return h.poolInfo(p), nil
}

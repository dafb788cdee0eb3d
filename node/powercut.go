package node

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// What a person saves is announced before it has reached the disk: most
// programs do not ask for that, and waiting for it would cost each save some
// milliseconds to seconds. So a power cut may take from the disk what the pool
// has already. It is told from an edit by the time of the inode's last change,
// which nobody can set: whatever a power cut leaves is an earlier state of the
// file than the one that was seen, and whatever a person does is a later one.

const (
	dryKey   = "dry"            // up to which change everything has reached the disk
	dryAfter = 30 * time.Second // when the kernel has written nearly all of it by itself
)

// wet is what is known of the changes that may not have reached the disk. Its
// fields are under the replica's mu.
type wet struct {
	newest int64 // change that the index knows, as ctime
	dry    int64 // up to this one all have reached it
	cut    bool  // power failed since: until everything was looked at, damage is looked for
	harm   int   // paths that were damaged
}

// loadWet takes up how far the disk was known to have come.
func (r *replica) loadWet(cut bool) error {
	raw, ok, err := r.st.Get(dryKey)
	if err != nil {
		return err
	}
	var dry int64
	if ok {
		dry, _ = strconv.ParseInt(string(raw), 10, 64) // nothing was known, then
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wet = wet{newest: dry, dry: dry, cut: cut}
	return nil
}

// wetted notes rows that were written for what was seen on the disk.
func (r *replica) wetted(rows map[event.Path]store.Have) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range rows {
		r.wet.newest = max(r.wet.newest, h.Stat.CTime)
	}
	if r.wet.newest > r.wet.dry {
		r.wetNow.poke()
	}
}

// dryLoop has what changed reach the disk, some time after it did, and notes
// how far the disk is known to have come.
func (r *replica) dryLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wetNow.c:
		}
		if !sleep(ctx, dryAfter) {
			return nil
		}
		if err := r.dry(); err != nil {
			r.log.Debug("sync the folder's disk", "err", err) // later changes bring the next try
		}
	}
}

func (r *replica) dry() error {
	r.mu.Lock()
	to := r.wet.newest
	r.mu.Unlock()
	err := r.fold.SyncAll()
	if err != nil && !errors.Is(err, folder.ErrUnsupported) { // then the kernel's own time has to do
		return err
	}
	if err := r.st.Set(dryKey, strconv.AppendInt(nil, to, 10)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wet.dry = max(r.wet.dry, to)
	r.log.Debug("all changes have reached the disk", "pool", r.name(), "to", to)
	return nil
}

// cutOff reports whether a power cut may have taken a change that was made here
// and that the index knows. (What came from others was on the disk first.)
func (r *replica) cutOff(h store.Have) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wet.newest = max(r.wet.newest, h.Stat.CTime)
	return r.wet.cut && h.Stat.CTime > r.wet.dry && (h.Known.CDot.Writer.Node == r.self || h.Known.MDot.Writer.Node == r.self)
}

// damaged reports whether what was seen at a path is what a power cut left of
// it. The index is then to say that this lies there, and no more: the pool's
// content comes again, and what is found goes to the versions.
func (r *replica) damaged(s folder.Seen, h store.Have) bool {
	switch {
	case !h.Known.Value.Live(): // a deletion that did not reach the disk: what was there before is there again
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.wet.cut && s.Value.Live() && s.Stat.CTime <= r.wet.dry
	case s.Gone:
		return r.cutOff(h)
	}
	return r.cutOff(h) && s.Stat.CTime <= h.Stat.CTime
}

// harmed counts a damaged path.
func (r *replica) harmed(p event.Path) {
	r.log.Info("after a power cut", "path", p, "found", "damaged")
	r.mu.Lock()
	r.wet.harm++
	r.mu.Unlock()
}

// healed ends the time in which damage is looked for: everything was looked at.
func (r *replica) healed() {
	r.mu.Lock()
	harm := r.wet.harm
	r.wet.cut, r.wet.harm = false, 0
	if r.wet.newest > r.wet.dry {
		r.wetNow.poke()
	}
	r.mu.Unlock()
	if harm > 0 {
		r.notice("power_cut", "power failed before all that was saved here had reached the disk: "+strconv.Itoa(harm)+
			" paths are fetched again from members; what was found there is in the versions")
	}
}

// afterCut reports whether damage of a power cut is being looked for.
func (r *replica) afterCut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wet.cut
}

// cutGone reports whether what a scan misses went with a power cut.
func (r *replica) cutGone(s folder.Seen) bool {
	if !r.afterCut() {
		return false // as nearly always, and not worth a look-up for each
	}
	h, known, err := r.st.Have(s.Path)
	return err == nil && known && h.Known.Value.Live() && r.cutOff(h)
}

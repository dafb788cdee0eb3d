package node

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/event"
)

// epochKey is where the store keeps the epoch in which this node writes,
// beforeKey the one before it.
const (
	epochKey  = "epoch"
	beforeKey = "epoch/before"
)

// loadEpoch takes up the epoch of the state.
func (r *replica) loadEpoch() error {
	r.disk.Lock()
	defer r.disk.Unlock()
	r.writer.Node = r.self
	for key, to := range map[string]*uint64{epochKey: &r.writer.Epoch, beforeKey: &r.before} {
		raw, ok, err := r.st.Get(key)
		if err != nil {
			return fmt.Errorf("epoch: %w", err)
		}
		if ok && len(raw) == 8 {
			*to = binary.BigEndian.Uint64(raw)
		}
	}
	return nil
}

// openEpoch begins a new epoch where the state cannot be trusted to hold all
// that was signed in its own.
func (r *replica) openEpoch(found evidence) error {
	r.disk.Lock()
	defer r.disk.Unlock()
	switch {
	case r.writer.Epoch == 0:
		return r.newEpochLocked("first")
	case found == broken:
		r.notice("state_restored", "this node's state or folder was copied or restored from a backup; it goes on as a new writer, and nothing is lost")
		return r.newEpochLocked("the state is a copy or an older one")
	}
	return nil
}

// newEpochLocked makes this node write as a new writer from now on: what it
// signed before may go on existing elsewhere without being known here. The
// caller holds the disk.
func (r *replica) newEpochLocked(why string) error {
	before, e := r.writer.Epoch, r.nextEpoch()
	if before != 0 {
		if err := r.st.Set(beforeKey, binary.BigEndian.AppendUint64(nil, before)); err != nil {
			return fmt.Errorf("epoch: %w", err)
		}
	}
	if err := r.st.Set(epochKey, binary.BigEndian.AppendUint64(nil, e)); err != nil {
		return fmt.Errorf("epoch: %w", err)
	}
	r.writer, r.before, r.exclusive = event.Writer{Node: r.self, Epoch: e}, before, true
	r.log.Info("new epoch", "pool", r.name(), "epoch", e, "why", why)
	if before != 0 {
		r.emit("writer.epoch", "", r.self, why)
	}
	return nil
}

// nextEpoch is above every epoch of this node that is known, and one that the
// roster lets count.
func (r *replica) nextEpoch() uint64 {
	var dice [2]byte
	_, _ = rand.Read(dice[:]) // never fails
	e := uint64(time.Now().UnixMilli())<<16 | uint64(binary.BigEndian.Uint16(dice[:]))
	e = max(e, r.writer.Epoch+1, r.newestOwn()+1)
	if ro := r.st.Roster(); ro != nil {
		if m, ok := ro.Member(r.self); ok {
			e = max(e, m.Epoch)
		}
	}
	return e
}

// newestOwn is the newest epoch of this node that anybody has told of.
func (r *replica) newestOwn() uint64 {
	var newest uint64
	for _, h := range r.st.Heads() {
		if h.Writer.Node == r.self {
			newest = max(newest, h.Writer.Epoch)
		}
	}
	return newest
}

// fitEpoch opens a new epoch where nothing that is signed in this one would
// count: the node was out of the pool for a while, or could not write. The
// caller holds the disk.
func (r *replica) fitEpoch() error {
	head, _ := r.st.Head(r.writer)
	if !r.mayWrite() || r.st.Roster().MayWrite(r.writer, head.Seq+1) == nil {
		return nil
	}
	return r.newEpochLocked("this node is back in the pool")
}

// link is what the first segment of an epoch says of the one before.
func (r *replica) link(prev event.Head) *event.Head {
	if prev.Seq != 0 || r.before == 0 {
		return nil
	}
	h, ok := r.st.Head(event.Writer{Node: r.self, Epoch: r.before})
	if !ok {
		return nil
	}
	return &h
}

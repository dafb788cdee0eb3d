package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/store"
)

// A replica is the pubsub.Log of its pool: the one door through which other
// nodes' events and records come in.

// ID names the pool.
func (r *replica) ID() event.PoolID { return r.id }

// Topic is the pool's GossipSub topic: a keyed hash that says nothing to
// those who are not members.
func (r *replica) Topic() string {
	secret := r.st.Roster().Secret()
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte("meerkat topic v1"))
	return hex.EncodeToString(m.Sum(nil))
}

// Member reports whether p belongs to the pool now.
func (r *replica) Member(p peer.ID) bool {
	_, ok := r.st.Roster().Member(p)
	return ok
}

// Removed reports whether p was a member and was removed.
func (r *replica) Removed(p peer.ID) bool {
	_, ok := r.st.Roster().Removed(p)
	return ok
}

// RosterDigest names the set of roster records.
func (r *replica) RosterDigest() event.Hash { return r.st.Roster().Digest() }

// RosterHashes lists the roster's records.
func (r *replica) RosterHashes() []event.Hash {
	var out []event.Hash
	for _, rec := range r.st.Roster().Records() {
		out = append(out, rec.Hash)
	}
	return out
}

// RosterRecords returns the records among hashes that are known here.
func (r *replica) RosterRecords(hashes []event.Hash) [][]byte {
	wanted := make(map[event.Hash]bool, len(hashes))
	for _, h := range hashes {
		wanted[h] = true
	}
	var out [][]byte
	for _, rec := range r.st.Roster().Records() {
		if wanted[rec.Hash] {
			out = append(out, rec.Raw)
		}
	}
	return out
}

// AddRosterRecords takes in records that somebody showed; those that no member
// with the right to make them has signed change nothing.
func (r *replica) AddRosterRecords(_ context.Context, _ peer.ID, raws [][]byte) error {
	recs := make([]pool.Record, 0, len(raws))
	for _, raw := range raws {
		rec, err := pool.OpenRecord(raw)
		if err != nil {
			return fmt.Errorf("roster record: %w", err)
		}
		recs = append(recs, rec)
	}
	added, err := r.st.AddRecords(recs)
	if err != nil {
		return err
	}
	if added > 0 {
		r.rosterChanged()
	}
	return nil
}

func (r *replica) rosterChanged() {
	r.feed.Refresh(r.id)
	r.links.poke.poke()
	r.reportNow.poke()
	r.emit("pool.members", "", r.self, "")
	r.expel()
	r.judgeSelf()
	r.rosterNews()
}

// Summary is the digest of the pool's state.
func (r *replica) Summary() event.Sum { return r.st.Stats().State }

// After returns raw segments of w behind seq.
func (r *replica) After(w event.Writer, seq uint64, most int) ([][]byte, error) {
	return r.st.After(w, seq, most)
}

// Append verifies segments and makes them durable; the disk follows later.
func (r *replica) Append(_ context.Context, from peer.ID, raws [][]byte) error {
	raws, tired := r.notSpent(raws)
	segs := make([]event.Segment, 0, len(raws))
	for _, raw := range raws {
		seg, err := event.OpenSegment(r.id, raw)
		if err != nil {
			return fmt.Errorf("segment from %s: %w", from, err)
		}
		segs = append(segs, seg)
	}
	segs, late := r.inTime(segs)
	before, _ := r.st.NeedTotal()
	mine := r.ownNews(segs)
	res, err := r.st.Append(segs...)
	err = errors.Join(r.judgeRefused(err), late, tired)
	after, _ := r.st.NeedTotal()
	r.charge(segs, after-before)
	r.bear(res.Burdens)
	if res.Forked {
		r.mendNow.poke()
	}
	if res.New > 0 {
		err = errors.Join(err, r.seenSelf(mine))
		r.forgetTurns(res.Paths)
		r.tell(segs)
		r.watchBursts(segs)
		r.mu.Lock()
		r.recent += res.New
		r.mu.Unlock()
		r.news.add(segs)
		r.applyNow.poke()
		r.reportNow.poke()
	}
	return err
}

// judgeRefused takes note of the forks in an error of Append, which are no
// error here, and marks gaps for the feed.
func (r *replica) judgeRefused(err error) error {
	var out []error
	for _, e := range parts(err) {
		if fork, ok := errors.AsType[store.ErrFork](e); ok {
			out = append(out, r.forked(fork))
		} else if _, ok := errors.AsType[store.ErrGap](e); ok {
			out = append(out, fmt.Errorf("%w: %w", pubsub.ErrGap, e))
		} else {
			out = append(out, e)
		}
	}
	return errors.Join(out...)
}

// parts are the errors that were joined into err.
func parts(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // a wrapped one is one error
		return many.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// forked tells about a writer that signed two things for one seq. Where it is
// this node, its identity has a second user.
func (r *replica) forked(f store.ErrFork) error {
	own := f.Writer.Node == r.self
	if own || r.notice("fork", fmt.Sprintf("%s runs twice, or was restored from a backup: it signed two different changes under one number; both are kept", r.nameOf(f.Writer.Node))) {
		r.log.Warn("fork", "pool", r.name(), "err", f)
		r.emit("member.forked", "", f.Writer.Node, f.Error())
	}
	if own {
		return r.ownFork(f.Writer)
	}
	return nil
}

// nameOf is what the pool calls a node, or its id.
func (r *replica) nameOf(p peer.ID) string {
	ro := r.st.Roster()
	if m, ok := ro.Member(p); ok {
		return m.Name
	}
	if m, ok := ro.Removed(p); ok {
		return m.Name
	}
	return p.String()
}

// tell shows remote changes to `meerkat events`.
func (r *replica) tell(segs []event.Segment) {
	for _, s := range segs {
		for _, l := range s.Leaves {
			if l.Event.HLC != 0 {
				r.clock.Observe(l.Event.HLC)
				r.delivered(time.Since(l.Event.HLC.Time()))
			}
			kind := fileChanged
			if !l.Event.Value.Live() {
				kind = fileDeleted
			}
			r.emit(kind, l.Event.Path, s.Writer.Node, "")
		}
	}
}

// Report takes in what a member said of itself.
func (r *replica) Report(_ context.Context, _ peer.ID, raw []byte) {
	rep, err := openReport(r.id, raw)
	if err != nil {
		r.log.Debug("report", "err", err)
		return
	}
	if rep.Node == r.self {
		if err := r.ownReport(rep); err != nil {
			r.log.Warn("report", "err", err)
		}
		return
	}
	if !r.Member(rep.Node) || !r.reports.add(rep, raw) {
		return
	}
	r.learn(rep)
}

// Reports are the newest ones of all members, and that of this node as of now.
func (r *replica) Reports() [][]byte {
	r.renewReport()
	return r.reports.all()
}

// learn uses what a report says: addresses to dial, events to ask for.
func (r *replica) learn(rep *report) {
	if rep.Node == r.self {
		return
	}
	r.keepReport(rep.Node)
	r.judgeClock(rep)
	if len(rep.Addrs) > 0 {
		r.links.Found(peer.AddrInfo{ID: rep.Node, Addrs: rep.Addrs})
	}
}

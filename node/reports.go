package node

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/bwaklog/meerkat/event"
)

// reportBook holds the newest report of each member of one pool.
type reportBook struct {
	mu  sync.Mutex
	by  map[peer.ID]*report
	raw map[peer.ID][]byte
	arr map[peer.ID]time.Time // when it arrived here, by this node's clock
}

// add keeps r if it is newer than the one known, or if that one was signed by a
// clock that ran ahead and may be right by now. It owns raw from then on.
func (b *reportBook) add(r *report, raw []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil {
		b.by, b.raw, b.arr = map[peer.ID]*report{}, map[peer.ID][]byte{}, map[peer.ID]time.Time{}
	}
	if old := b.by[r.Node]; old != nil && old.Time >= r.Time && (old.Time == r.Time || time.Until(old.Time.Time()) < skewMost) {
		return false
	}
	b.by[r.Node], b.raw[r.Node], b.arr[r.Node] = r, append([]byte(nil), raw...), time.Now()
	return true
}

func (b *reportBook) get(p peer.ID) *report {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.by[p]
}

func (b *reportBook) rawOf(p peer.ID) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.raw[p]
}

func (b *reportBook) all() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([][]byte, 0, len(b.raw))
	for _, raw := range b.raw {
		out = append(out, raw)
	}
	return out
}

// reportKey is where the store keeps the last report of a member, so that
// `status` can tell of members that are off after a restart.
func reportKey(p peer.ID) string { return "report/" + p.String() }

func (r *replica) keepReport(p peer.ID) {
	if err := r.st.Set(reportKey(p), r.reports.rawOf(p)); err != nil {
		r.log.Warn("keep report", "err", err)
	}
}

// loadReports takes up what members said before this node was stopped.
func (r *replica) loadReports() {
	for _, m := range r.st.Roster().Members() {
		raw, ok, err := r.st.Get(reportKey(m.ID))
		if err != nil || !ok || m.ID == r.self {
			continue
		}
		rep, err := openReport(r.id, raw)
		if err != nil {
			continue // an older format: the next one comes with the next contact
		}
		if r.reports.add(rep, raw) {
			r.links.Found(peer.AddrInfo{ID: rep.Node, Addrs: rep.Addrs})
		}
	}
}

// reportLoop tells members what this node knows and lacks: soon after a
// change, and now and then.
func (r *replica) reportLoop(ctx context.Context) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	var last *report
	for {
		if now := r.report(false); last == nil || r.repeat.Swap(false) || now.differs(last) {
			r.sendReport(now)
			last = now
		}
		if !sleep(ctx, reportPause) {
			break
		}
		select {
		case <-ctx.Done():
		case <-r.reportNow.c:
			continue
		case <-tick.C:
			last = nil
			continue
		}
		break
	}
	r.speaks.Store(false)
	r.sendReport(r.report(true))
	return nil
}

func (r *replica) sendReport(rep *report) {
	raw, err := r.signReport(rep)
	if err == nil {
		err = r.feed.SendReport(r.id, raw)
	}
	if err != nil {
		r.log.Warn("report", "err", err)
	}
}

// signReport makes rep the last word of this node about itself.
func (r *replica) signReport(rep *report) ([]byte, error) {
	raw, err := fitReport(r.key, rep)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.sent.add(rep.Time)
	r.mu.Unlock()
	r.reports.add(rep, raw)
	return raw, nil
}

// renewReport has what this node last said of itself be true now: who compares
// with it may wait for just that.
func (r *replica) renewReport() {
	if !r.speaks.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), catchUpMost)
	defer cancel()
	r.catchUp(ctx)
	now := r.report(false)
	if last := r.reports.get(r.self); last != nil && !now.differs(last) {
		return
	}
	if _, err := r.signReport(now); err != nil {
		r.log.Warn("report", "err", err)
	}
}

// report says what this node knows and lacks right now. The order counts: who
// is not busy has published all that it saw, and what is lacked of the events
// that the heads name is looked up after them.
func (r *replica) report(leaving bool) *report {
	rep := &report{
		Pool: r.id, Node: r.self, Busy: r.working() || !r.scanned(), Time: r.clock.Now(),
		Version: Version, Leaving: leaving, Heads: map[event.Writer]uint64{},
	}
	for _, h := range r.Heads() {
		rep.Heads[h.Writer] = h.Seq
	}
	rep.Wanted.Files, rep.Wanted.Bytes = r.st.NeedTotal()
	rep.State, rep.Root, rep.Lacks = r.state(), r.st.Stats().Root, r.lacks()
	for _, s := range r.addrs() {
		if a, err := ma.NewMultiaddr(s); err == nil {
			rep.Addrs = append(rep.Addrs, a)
		}
	}
	return rep
}

// differs reports whether r says anything that last did not.
func (r *report) differs(last *report) bool {
	if lacksDiffer(r.Lacks, last.Lacks) || r.Wanted != last.Wanted || r.State != last.State || r.Root != last.Root ||
		r.Busy != last.Busy || len(r.Heads) != len(last.Heads) || len(r.Addrs) != len(last.Addrs) {
		return true
	}
	for w, seq := range r.Heads {
		if last.Heads[w] != seq {
			return true
		}
	}
	for i, a := range r.Addrs {
		if !a.Equal(last.Addrs[i]) {
			return true
		}
	}
	return false
}

// lastAddrs is where p last said that it is, in any pool.
func (n *Node) lastAddrs(p peer.ID) (out []ma.Multiaddr) {
	for _, r := range n.known() {
		if rep := r.reports.get(p); rep != nil {
			out = append(out, rep.Addrs...)
		}
	}
	return out
}

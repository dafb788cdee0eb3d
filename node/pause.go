package node

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// pauseKey is where the store keeps until when a pool is paused, and with a
// member's id behind it, the node until when that member is.
const pauseKey = "paused"

// forever is the end of a pause that only a person ends.
var forever = time.Unix(1<<40, 0)

// pauses are the members with whom no content is exchanged for now.
type pauses struct {
	mu sync.Mutex
	by map[peer.ID]time.Time
}

func (p *pauses) has(id peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.by[id])
}

func (p *pauses) end(id peer.ID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by[id]
}

func (p *pauses) set(id peer.ID, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[peer.ID]time.Time{}
	}
	p.by[id] = until
}

// Pause stops a pool, or the exchange of content with a member, until Resume
// or, where q.For is not zero, for so long. It survives a restart. With
// neither, all pools are meant.
func (n *Node) Pause(_ context.Context, q PauseRequest) ([]PauseInfo, error) {
	until := forever
	if q.For > 0 {
		until = time.Now().Add(q.For)
	}
	return n.setPause(q, until)
}

// Resume ends a pause.
func (n *Node) Resume(_ context.Context, q PauseRequest) ([]PauseInfo, error) {
	return n.setPause(q, time.Time{})
}

func (n *Node) setPause(q PauseRequest, until time.Time) ([]PauseInfo, error) {
	if q.Member != "" {
		return n.pauseMember(q.Member, until)
	}
	rs := n.all()
	if q.Pool != "" || len(rs) == 0 {
		r, err := n.pick(q.Pool)
		if err != nil {
			return nil, err
		}
		rs = []*replica{r}
	}
	var out []PauseInfo
	for _, r := range rs {
		if was := r.pauseEnd(); until.Equal(was) || until.IsZero() && !r.paused() {
			continue
		}
		if err := r.pause(until); err != nil {
			return out, err
		}
		out = append(out, pauseInfo(r.name(), "", until))
	}
	switch {
	case len(out) == 0 && until.IsZero():
		return nil, trouble("not_paused", nil, "nothing is paused")
	case len(out) == 0:
		return nil, trouble("paused_already", nil, "that is paused already")
	}
	return out, nil
}

func (n *Node) pauseMember(name string, until time.Time) ([]PauseInfo, error) {
	id, err := n.pickMember(name)
	if err != nil {
		return nil, err
	}
	if id == n.self {
		return nil, trouble("no_node", nil, "%s is this node", name)
	}
	switch was := n.pauses.end(id); {
	case until.IsZero() && !n.pauses.has(id):
		return nil, trouble("not_paused", nil, "%s is not paused", name)
	case until.Equal(was):
		return nil, trouble("paused_already", nil, "%s is paused already", name)
	}
	if err := n.home.DB().Set(pauseKey+"/"+id.String(), timeBytes(until)); err != nil {
		return nil, err
	}
	n.pauses.set(id, until)
	n.linksChanged()
	time.AfterFunc(min(time.Until(until), day), n.linksChanged)
	return []PauseInfo{pauseInfo("", id.String(), until)}, nil
}

func pauseInfo(pool, member string, until time.Time) PauseInfo {
	p := PauseInfo{Schema: SchemaPause, Pool: pool, Member: member, Paused: !until.IsZero()}
	if p.Paused && until.Before(forever) {
		p.Until = timePtr(until)
	}
	return p
}

// loadPauses takes up the pauses that a run before began.
func (n *Node) loadPauses() error {
	keys, err := n.home.DB().Keys(pauseKey + "/")
	if err != nil {
		return err
	}
	for _, k := range keys {
		raw, _, err := n.home.DB().Get(k)
		id, bad := peer.Decode(k[len(pauseKey)+1:])
		if err != nil || bad != nil {
			continue // a row that says nothing
		}
		n.pauses.set(id, readTime(raw))
	}
	return nil
}

func timeBytes(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))
}

func readTime(b []byte) time.Time {
	if len(b) != 8 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
}

// pause stops the replica until a time, or lets it go on where that is zero.
func (r *replica) pause(until time.Time) error {
	if err := r.st.Set(pauseKey, timeBytes(until)); err != nil {
		return err
	}
	r.care.mu.Lock()
	r.care.until = until
	stop := r.care.stopTurn
	r.care.mu.Unlock()
	if stop != nil && !until.IsZero() {
		stop()
	}
	r.wakeAll()
	time.AfterFunc(min(time.Until(until), day), r.wakeAll)
	r.tellState()
	return nil
}

func (r *replica) wakeAll() {
	r.scanNow.poke()
	r.applyNow.poke()
	r.reportNow.poke()
}

// loadPause takes up a pause that a run before began.
func (r *replica) loadPause() {
	raw, ok, err := r.st.Get(pauseKey)
	if err != nil || !ok {
		return
	}
	until := readTime(raw)
	r.care.mu.Lock()
	r.care.until = until
	r.care.mu.Unlock()
	if left := time.Until(until); left > 0 {
		time.AfterFunc(min(left, day), r.wakeAll)
	}
}

func (r *replica) paused() bool {
	r.care.mu.Lock()
	defer r.care.mu.Unlock()
	return time.Now().Before(r.care.until)
}

func (r *replica) pauseEnd() time.Time {
	r.care.mu.Lock()
	defer r.care.mu.Unlock()
	return r.care.until
}

// pausedUntil is when the pause ends by itself; nil: none does.
func (r *replica) pausedUntil() *time.Time {
	if until := r.pauseEnd(); time.Now().Before(until) && until.Before(forever) {
		return timePtr(until)
	}
	return nil
}

// unlessPaused is one turn of the converge loop; a pause ends it.
func (r *replica) unlessPaused(ctx context.Context, t *turns, b *blockade) (time.Duration, error) {
	turn := t.next(ctx)
	r.care.mu.Lock()
	r.care.stopTurn = t.stop
	r.care.mu.Unlock()
	if r.paused() {
		return 0, nil
	}
	wait, err := r.convergeTurn(turn, b)
	if r.paused() {
		return 0, nil // what the pause cut off is no trouble
	}
	return wait, err
}

// turns is what a pause cuts off: the turn under way, and the fetches of the
// turns before, which go on when theirs is over. Its zero value is ready.
type turns struct {
	give func() context.Context
	stop context.CancelFunc
}

// next is the context of the next turn: that of the last one, unless a pause
// has ended it. It ends with ctx, which is the same each time.
func (t *turns) next(ctx context.Context) context.Context {
	if t.give != nil && t.give().Err() == nil {
		return t.give()
	}
	turn, stop := context.WithCancel(ctx)
	t.give, t.stop = func() context.Context { return turn }, stop
	return turn
}

// serves reports whether p may have content of this pool now.
func (r *replica) serves(p peer.ID) bool {
	return r.Member(p) && !r.paused() && !r.pauses.has(p)
}

// notPaused says that nothing is looked at because the pool is paused, or nil.
func (r *replica) notPaused() error {
	if r.paused() {
		return trouble("paused", nil, "the pool %s is paused", r.name())
	}
	return nil
}

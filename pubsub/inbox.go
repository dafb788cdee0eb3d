package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

const (
	together = 64 // gossiped segments appended in one go
	pursuit  = 100 * time.Millisecond
)

// delivery is a run of segments that one member handed over.
type delivery struct {
	from   peer.ID
	raws   [][]byte
	by     []peer.ID // who gossiped each of raws first, and is to blame for it; empty for repair: from is
	repair bool
	result chan<- receipt // nil for gossip
}

// receipt says what became of a delivery: whether it brought anything new, and the first error.
type receipt struct {
	news bool
	err  error
}

// validate is the last check before a message is forwarded: GossipSub has verified the author's signature by then. It waits for
// nothing. A message of a size or shape that no member's node makes is the author's fault; one too many is only dropped.
func (r *room) validate(_ context.Context, from peer.ID, m *gossip.Message) gossip.ValidationResult {
	self := r.f.host.ID()
	author := m.GetFrom()
	if author == self && from == self {
		return gossip.ValidationAccept
	}
	if len(m.Data) > maxGossip {
		return gossip.ValidationReject
	}
	if !r.log.Member(from) || !r.log.Member(author) {
		return gossip.ValidationIgnore
	}
	ok, tell := r.limits.allow(author)
	if tell && from == author { // others may say again what it said
		r.f.blame(r.id, author, fmt.Errorf("%w: announcements", ErrFlood))
	}
	if !ok {
		return gossip.ValidationIgnore
	}
	v, err := decodeGossip(m.Data)
	if err != nil {
		r.f.blame(r.id, author, err)
		return gossip.ValidationReject
	}
	m.ValidatorData = v
	return gossip.ValidationAccept
}

// listen takes messages off the topic. It never waits for the disk.
func (r *room) listen(ctx context.Context, s *gossip.Subscription) error {
	for {
		m, err := s.Next(ctx)
		if err != nil {
			return err
		}
		switch v := m.ValidatorData.(type) {
		case whole:
			r.handIn(delivery{from: m.ReceivedFrom, raws: [][]byte{v}, by: []peer.ID{m.GetFrom()}})
		case hint:
			r.hinted(m.ReceivedFrom, v)
		case report:
			r.log.Report(ctx, m.ReceivedFrom, v)
		}
	}
}

func (r *room) handIn(d delivery) {
	select {
	case r.in <- d:
	default:
		r.agenda.ask(d.from, time.Now().Add(dropPause))
	}
}

// take is the one place from which segments go into the log, gossiped and repaired ones alike, so that it sees what each brought.
func (r *room) take(ctx context.Context) error {
	known := have{heads: r.log.Heads()}.byWriter()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d := <-r.in:
			for d, more := r.gather(d); ; d, more = r.gather(*more) {
				known = r.put(ctx, d, known)
				if more == nil {
					break
				}
			}
		}
	}
}

// gather joins gossiped segments of one neighbour that wait behind d. The one that did not fit comes back.
func (r *room) gather(d delivery) (delivery, *delivery) {
	for !d.repair && len(d.raws) < together {
		select {
		case n := <-r.in:
			if n.repair || n.from != d.from {
				return d, &n
			}
			d.raws, d.by = append(d.raws, n.raws...), append(d.by, n.by...)
		default:
			return d, nil
		}
	}
	return d, nil
}

// put gives d to the log, and compares its heads with those known before; it gives those of now.
func (r *room) put(ctx context.Context, d delivery, known map[event.Writer]event.Head) map[event.Writer]event.Head {
	err := r.log.Append(ctx, d.from, d.raws)
	if err != nil && ctx.Err() == nil {
		err = r.putSingly(ctx, d, err)
	}
	heads := have{heads: r.log.Heads()}
	var news []event.Head
	changed := false
	for _, h := range heads.heads {
		was := known[h.Writer]
		changed = changed || h != was // of a forked log another branch may be news
		if h.Seq > was.Seq {
			news = append(news, h)
		}
	}
	r.learned(d, news)
	r.complain(d, err)
	if d.result != nil {
		d.result <- receipt{changed, err}
	}
	return heads.byWriter()
}

// putSingly keeps one bad segment from holding up the others, and says who is to blame for it. The first error comes back; err is
// that of all together.
func (r *room) putSingly(ctx context.Context, d delivery, err error) error {
	if len(d.raws) == 1 {
		r.judge(d, 0, err)
		return err
	}
	var first error
	for i, raw := range d.raws {
		if err := r.log.Append(ctx, d.from, [][]byte{raw}); err != nil {
			r.judge(d, i, err)
			first = cmp.Or(first, err)
		}
	}
	return first
}

// judge blames whoever handed in the i-th segment of d, if err says that it cannot be honest.
func (r *room) judge(d delivery, i int, err error) {
	if !offends(err) {
		return
	}
	who := d.from
	if i < len(d.by) {
		who = d.by[i]
	}
	r.f.blame(r.id, who, err)
}

// learned tells the neighbours what they may not have been told.
func (r *room) learned(d delivery, news []event.Head) {
	if len(news) == 0 {
		return
	}
	if !d.repair || r.onlyNeighbour(d.from) {
		r.out.heard(news)
	} else {
		r.out.news(news)
	}
	r.visitLimited(d.from)
}

func (r *room) onlyNeighbour(p peer.ID) bool {
	return !slices.ContainsFunc(r.connected(), func(q peer.ID) bool { return q != p })
}

func (r *room) complain(d delivery, err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrGap) && !d.repair:
		r.agenda.ask(d.from, time.Now())
	default:
		r.f.log.Debug("append", "pool", r.id, "from", d.from, "err", err)
	}
}

// hinted begins an exchange with the member that passed a hint on, where it tells of something that is not here.
func (r *room) hinted(from peer.ID, hs hint) {
	have := vectorOf(r.log.Heads())
	r.mu.Lock()
	lacking := false
	for _, h := range hs {
		if h.Seq <= have[h.Writer] || !r.plausibleLocked(h, have) {
			continue
		}
		lacking = true
		if h.Seq > r.wanted[h.Writer].Seq {
			r.wanted[h.Writer] = h
		}
	}
	r.mu.Unlock()
	if lacking {
		r.agenda.ask(from, time.Now())
	} else {
		r.out.heard(hs)
	}
}

// plausibleLocked bounds what is wanted: writers that are known, or of members, and no more than maxHeads.
func (r *room) plausibleLocked(h event.Head, have event.Vector) bool {
	_, known := have[h.Writer]
	return (known || r.log.Member(h.Writer.Node)) && len(r.wanted) < maxHeads
}

// pursue goes on asking p where an exchange did not bring what was hinted: who forwards a hint is faster than who fetches. It gives
// up after some tries, for a hint is only a claim; the regular exchanges go on.
func (r *room) pursue(p peer.ID) {
	have := vectorOf(r.log.Heads())
	r.mu.Lock()
	for w, h := range r.wanted {
		if h.Seq <= have[w] {
			delete(r.wanted, w)
		}
	}
	open := len(r.wanted) > 0
	tries := r.tries
	r.tries++
	if !open || tries >= maxTries {
		clear(r.wanted)
		r.tries = 0
		open = false
	}
	r.mu.Unlock()
	if open {
		r.agenda.ask(p, time.Now().Add(pursuit<<tries))
	}
}

func vectorOf(hs []event.Head) event.Vector {
	v := make(event.Vector, len(hs))
	for _, h := range hs {
		v[h.Writer] = h.Seq
	}
	return v
}

package pubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// session is how one of /meerkat/rbsr/1 went.
type session struct {
	cut   bool  // more differs than went into it
	trips int   // round trips
	bytes int64 // of frames, both ways
}

// reconcileWith begins a session of /meerkat/rbsr/1 with p and sees it through.
func (r *room) reconcileWith(ctx context.Context, p peer.ID) (session, error) {
	octx, cancel := context.WithTimeout(network.WithNoDial(ctx, "reconcile"), openPatience)
	defer cancel()
	s, err := r.f.host.NewStream(network.WithAllowLimitedConn(octx, "reconcile"), p, StateProtocol)
	if err != nil {
		return session{}, fmt.Errorf("reconcile with %s: %w", p, err)
	}
	x := newExchange(r.f, s)
	stop := context.AfterFunc(ctx, x.cut)
	defer stop()
	held, err := x.openState(ctx, r)
	held.bytes = x.in.Load() + x.out.Load()
	if err = x.part(err); err != nil {
		return held, fmt.Errorf("reconcile with %s: %w", p, err)
	}
	return held, nil
}

// part ends the stream of a session.
func (x *exchange) part(err error) error {
	if err != nil && !refusal(err) {
		x.cut()
	} else {
		_ = x.s.Close() // all that counts was answered
	}
	if x.r != nil {
		x.r.exit(x)
	}
	return err
}

// openState is the side that began.
func (x *exchange) openState(ctx context.Context, r *room) (held session, err error) {
	if err := x.attach(r); err != nil {
		return held, err
	}
	if err := x.member(); err != nil {
		return held, err
	}
	x.admitted.Store(true)
	o := opening{pool: r.id}
	_, _ = rand.Read(o.nonce[:]) // never fails
	sd := newSide(r.log, o.nonce)
	if o.prints, err = sd.prints(event.Range{}); err != nil {
		return held, err
	}
	if err := x.send(o); err != nil {
		return held, err
	}
	held.trips, err = x.trade(ctx, sd)
	held.cut = sd.cut
	return held, err
}

// answerState is the other side.
func (x *exchange) answerState(ctx context.Context) error {
	return x.part(x.serveState(ctx))
}

func (x *exchange) serveState(ctx context.Context) error {
	o, err := expect[opening](x, maxHello)
	if err != nil {
		return err
	}
	r := x.f.room(o.pool)
	if r == nil {
		return x.refuse(ErrNotMember)
	}
	if err := x.attach(r); err != nil {
		return err
	}
	if err := x.member(); err != nil {
		return x.refuse(err)
	}
	x.admitted.Store(true)
	if !r.bears(x.peer, time.Now()) {
		return x.refuse(errBusy)
	}
	sd := newSide(r.log, o.nonce)
	if err := sd.heed(part{prints: o.prints}); err != nil {
		return err
	}
	if over, err := x.say(sd); over || err != nil {
		return err
	}
	_, err = x.trade(ctx, sd)
	return err
}

// trade takes turns until one has nothing to say, and counts how often it had to wait for the other side.
func (x *exchange) trade(ctx context.Context, sd *side) (trips int, err error) {
	for trips = 1; trips <= maxTurns/2; trips++ {
		if over, err := x.hear(ctx, sd); over || err != nil {
			return trips, err
		}
		if err := x.member(); err != nil {
			return trips, err
		}
		if over, err := x.say(sd); over || err != nil {
			return trips, err
		}
	}
	return trips, bad("more than %d turns", maxTurns)
}

// say sends what sd has to say; over: it was nothing, and no answer comes.
func (x *exchange) say(sd *side) (over bool, err error) {
	t, err := sd.speak()
	if err != nil {
		return false, err
	}
	for _, f := range t.frames() {
		if err := x.send(f); err != nil {
			return false, err
		}
	}
	return t.empty(), nil
}

// hear takes the other's turn; over: it was empty, and no answer is waited for. Its events are durable when hear returns.
func (x *exchange) hear(ctx context.Context, sd *side) (over bool, err error) {
	parts, wants := 0, 0
	over = true
	for began := x.in.Load(); ; {
		t, err := expect[turn](x, maxStateFrame)
		if err != nil {
			return false, err
		}
		parts, wants = parts+len(t.parts), wants+len(t.wants)
		if parts > maxParts || wants > maxKeys || x.in.Load()-began > turnSpace || t.more && t.empty() {
			return false, bad("turn of %d ranges, %d keys, %d bytes", parts, wants, x.in.Load()-began)
		}
		over = over && t.empty()
		if err := x.heed(ctx, sd, t); err != nil {
			return false, err
		}
		if !t.more {
			return over, nil
		}
	}
}

func (x *exchange) heed(ctx context.Context, sd *side, t turn) error {
	for _, p := range t.parts {
		if err := sd.heed(p); err != nil {
			return err
		}
	}
	for _, k := range t.wants {
		sd.offer(k)
	}
	var refused error
	if len(t.records) > 0 {
		refused = x.r.log.AddRosterRecords(ctx, x.peer, t.records)
		x.r.refresh.poke()
	}
	if len(t.events) > 0 {
		refused = errors.Join(refused, x.r.log.Supplement(ctx, x.peer, t.events))
	}
	if refused != nil {
		x.f.log.Debug("reconciled events", "pool", x.r.id, "from", x.peer, "err", refused) // the rest goes on
	}
	return ctx.Err()
}

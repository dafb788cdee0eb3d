package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

const (
	bulkSize   = 128 << 10 // a batch from here on tells that much is coming
	maxUseless = 16        // batches in one exchange that bring nothing new
	soonPause  = 200 * time.Millisecond
	soonTries  = 60
	maxPutOff  = 64       // batches in one exchange that are put off
	maxRecords = 16 << 20 // roster records that a member may send at once
)

// reconcile is what both sides do once they know each other's hello. What is sent where follows from the two alone.
func (x *exchange) reconcile(ctx context.Context, mine, theirs hello) error {
	if mine.roster != theirs.roster {
		if err := x.rosters(ctx); err != nil {
			return err
		}
	}
	if err := x.member(); err != nil {
		return err
	}
	if mine.heads == theirs.heads {
		x.state = x.compare(theirs)
	}
	if mine.heads == theirs.heads && mine.reports == theirs.reports {
		return nil
	}
	if err := x.segments(ctx, [2][nonceSize]byte{mine.nonce, theirs.nonce}); err != nil {
		return err
	}
	switch {
	case x.moved:
		x.r.trust(x.peer)
	case mine.heads != theirs.heads:
		x.compare(theirs) // whatever keeps the logs apart, the states need not be
	}
	return x.both(func() error { return x.send(ack{}) }, func() error {
		_, err := expect[ack](x, maxHello)
		return err
	})
}

// compare notes whether logs that have nothing more to give made equal trees.
func (x *exchange) compare(theirs hello) bool {
	sum := x.r.log.Summary()
	same := sum.Count() == theirs.count && printOf(sum, theirs.nonce) == theirs.print
	x.r.compared(x.peer, same, time.Now())
	return same
}

// rosters brings both to the same records. Each side applies what it got before it judges the other again.
func (x *exchange) rosters(ctx context.Context) error {
	mine := x.r.log.RosterHashes()
	var theirs hashes
	err := x.both(func() error { return x.send(hashes(mine)) }, func() (err error) {
		theirs, err = expect[hashes](x, MaxFrame)
		return err
	})
	if err != nil {
		return err
	}
	var recs [][]byte
	err = x.both(func() error { return x.sendRecords(missing(mine, theirs)) }, func() (err error) {
		recs, err = x.recvRecords(maxRecords, maxHashes)
		return err
	})
	if err != nil || len(recs) == 0 {
		return err
	}
	if err := x.r.log.AddRosterRecords(ctx, x.peer, recs); err != nil {
		return fmt.Errorf("add roster records: %w", err)
	}
	x.r.refresh.poke()
	return nil
}

// missing gives those of mine that are not among theirs.
func missing(mine, theirs []event.Hash) []event.Hash {
	there := make(map[event.Hash]bool, len(theirs))
	for _, h := range theirs {
		there[h] = true
	}
	var hs []event.Hash
	for _, h := range mine {
		if !there[h] {
			hs = append(hs, h)
		}
	}
	return hs
}

func (x *exchange) sendRecords(hs []event.Hash) error {
	raws := x.r.log.RosterRecords(hs)
	for {
		n, size := 0, 0
		for n < len(raws) && (n == 0 || size+len(raws[n]) <= chunkSize) && n < maxHeads {
			size += len(raws[n])
			n++
		}
		m := records{raws[:n], n < len(raws)}
		if raws = raws[n:]; !m.more {
			return x.send(m)
		}
		if err := x.send(m); err != nil {
			return err
		}
	}
}

func (x *exchange) recvRecords(maxBytes, maxRecs int) ([][]byte, error) {
	var all [][]byte
	for size := 0; ; {
		m, err := expect[records](x, MaxFrame)
		if err != nil {
			return nil, err
		}
		for _, raw := range m.raws {
			size += len(raw)
		}
		all = append(all, m.raws...)
		if size > maxBytes || len(all) > maxRecs || (m.more && len(m.raws) == 0) {
			return nil, bad("%d roster records of %d bytes", len(all), size)
		}
		if !m.more {
			return all, nil
		}
	}
}

// segments tells what is here, then sends what the other lacks while it takes what comes.
func (x *exchange) segments(ctx context.Context, nonces [2][nonceSize]byte) error {
	mine := have{heads: fewer(x.r.log.Heads(), maxLogs), parted: map[event.Writer]uint64{}}
	for _, h := range mine.heads {
		if from, forked := x.r.log.Forked(h.Writer); forked {
			mine.parted[h.Writer] = from
		}
	}
	raws := x.r.log.Reports()
	for _, raw := range raws {
		mine.reports = append(mine.reports, short(raw))
	}
	said, theirs := x.muted(mine), have{}
	err := x.both(func() error { return x.sendHave(said) }, func() (err error) {
		theirs, err = x.recvHave()
		return err
	})
	if err != nil {
		return err
	}
	known, err := x.swapKnown(said, theirs, nonces)
	if err != nil {
		return err
	}
	b := &bundle{x: x, mine: said, theirs: theirs, named: known, nonce: nonces[1]}
	got := false
	err = x.both(func() error { return b.push(mine, raws) }, func() (err error) {
		got, err = x.pull(ctx)
		return err
	})
	x.moved = got || b.sent
	return err
}

// fewer leaves out, of more than max heads, some of whoever has the most: nobody else is to be unheard for it.
func fewer(hs []event.Head, max int) []event.Head {
	for len(hs) > max {
		of, most := map[peer.ID]int{}, peer.ID("")
		for _, h := range hs {
			if of[h.Writer.Node]++; of[h.Writer.Node] > of[most] {
				most = h.Writer.Node
			}
		}
		drop := min(len(hs)-max, (of[most]+1)/2)
		hs = slices.DeleteFunc(hs, func(h event.Head) bool {
			if h.Writer.Node != most || drop == 0 {
				return false
			}
			drop--
			return true
		})
	}
	return hs
}

// sendHave tells what is here, in as many messages as it takes.
func (x *exchange) sendHave(h have) error {
	for part := range slices.Chunk(h.heads, maxHeads) {
		h.heads = h.heads[len(part):]
		m := have{heads: part, parted: h.parted, reports: h.reports, more: len(h.heads) > 0}
		if err := x.send(m); err != nil || !m.more {
			return err
		}
		h.reports = nil
	}
	return x.send(have{reports: h.reports})
}

func (x *exchange) recvHave() (have, error) {
	h := have{parted: map[event.Writer]uint64{}}
	for {
		m, err := expect[have](x, MaxFrame)
		if err != nil {
			return have{}, err
		}
		h.heads, h.reports = append(h.heads, m.heads...), append(h.reports, m.reports...)
		maps.Copy(h.parted, m.parted)
		if len(h.heads) > maxLogs || len(h.reports) > maxReports || m.more && len(m.heads) == 0 {
			return have{}, bad("%d heads", len(h.heads))
		}
		if !m.more {
			return h, nil
		}
	}
}

func (x *exchange) pushReports(raws [][]byte, there [][shortSize]byte) error {
	known := make(map[[shortSize]byte]bool, len(there))
	for _, s := range there {
		known[s] = true
	}
	var send [][]byte
	size := 0
	for _, raw := range raws {
		if known[short(raw)] || len(raw) > MaxReport {
			continue
		}
		if send, size = append(send, raw), size+len(raw); size >= chunkSize {
			if err := x.send(reports{send}); err != nil {
				return err
			}
			send, size = nil, 0
		}
	}
	if len(send) == 0 {
		return nil
	}
	return x.send(reports{send})
}

// pull takes what comes until done, and tells whether there was news in it. Each batch is durable before the next is read, so that
// a break loses nothing of it.
func (x *exchange) pull(ctx context.Context) (news bool, err error) {
	useless, putOff := 0, 0
	for {
		m, err := x.recv(MaxFrame)
		if err != nil {
			return news, err
		}
		if err := x.member(); err != nil {
			return news, err
		}
		switch m := m.(type) {
		case reports:
			for _, raw := range m.raws {
				x.r.log.Report(ctx, x.peer, raw)
			}
		case batch:
			got, err := x.store(ctx, m)
			if err != nil {
				return news, err
			}
			news = news || got.news
			later := errors.Is(got.err, ErrLater)
			if x.rejected == nil && !later {
				x.rejected = got.err
			}
			switch {
			case later:
				putOff++
			case !got.news:
				useless++
			}
			if useless > maxUseless {
				return news, bad("%d batches without news", useless)
			}
			if putOff > maxPutOff {
				return news, fmt.Errorf("%d batches: %w", putOff, ErrLater)
			}
		case done:
			return news, nil
		default:
			return news, bad("%T among the segments", m)
		}
	}
}

// store hands a batch to the room and waits until it is durable.
func (x *exchange) store(ctx context.Context, m batch) (receipt, error) {
	plain, err := x.f.pack.unpack(m.packed, m.size)
	if err != nil {
		return receipt{}, err
	}
	raws, err := unpile(plain)
	if err != nil {
		return receipt{}, err
	}
	if x.unasked(raws) {
		return receipt{}, bad("segments of its own that it was told to keep for now")
	}
	if len(plain) >= bulkSize {
		x.r.bulkFrom(x.began)
	}
	for tries := 0; ; tries++ {
		got, err := x.deliver(ctx, raws)
		if err != nil || !errors.Is(got.err, ErrSoon) || tries >= soonTries {
			return got, err
		}
		select {
		case <-time.After(soonPause):
		case <-ctx.Done():
			return receipt{}, ctx.Err()
		case <-x.r.quit:
			return receipt{}, ErrStopped
		}
	}
}

// deliver hands segments to the room once.
func (x *exchange) deliver(ctx context.Context, raws [][]byte) (receipt, error) {
	result := make(chan receipt, 1)
	select {
	case x.r.in <- delivery{from: x.peer, raws: raws, repair: true, result: result}:
	case <-ctx.Done():
		return receipt{}, ctx.Err()
	case <-x.r.quit:
		return receipt{}, ErrStopped
	}
	select {
	case got := <-result:
		return got, nil
	case <-ctx.Done():
		return receipt{}, ctx.Err()
	case <-x.r.quit:
		return receipt{}, ErrStopped
	}
}

// bulkFrom has the room ask others to wait while an exchange brings much: but not long, for this one may be slow.
func (r *room) bulkFrom(began time.Time) {
	r.bulk.Store(max(r.bulk.Load(), began.Add(bulkWindow).UnixNano()))
}

// spread plans an exchange with every member that is connected: the roster is not gossiped.
func (r *room) spread() {
	for _, p := range r.connected() {
		r.agenda.ask(p, time.Now().Add(r.f.conf.Jitter))
	}
}

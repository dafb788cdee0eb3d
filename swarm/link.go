package swarm

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	firstPause = 250 * time.Millisecond // after a stream failed
	mostPause  = 5 * time.Second
	leastBatch = 16  // requests out on a lane to a peer that has little
	startBatch = 128 // and to one of which nothing is known
	firstQuiet = 300 * time.Millisecond
	mostQuiet  = 2 * time.Second // how long a peer is left alone that has nothing
	minWindow  = 256 << 10       // bytes, of a lane
	newWindow  = 1 << 20         // before its rate is known
	ahead      = 500 * time.Millisecond
	rateTime   = 100 * time.Millisecond
)

// link is one peer during one fetch. Everything below f and peer is guarded by plan.mu once it runs.
type link struct {
	f    *fetch
	peer peer.ID

	lanes []*lane
	files []known // by root
	// doubted: it sent something wrong that it was not asked to verify.
	doubted bool
	denied  map[int32]time.Time // pieces that the peer said it has not, and when
	batch   int
	aside   aside
	misses  int // since the last hit
	quiet   time.Duration
	until   time.Time // nothing is asked before
}

// known is a holding, once the peer has told.
type known struct {
	known bool
	holding
}

// offers says whether it makes sense to ask this peer for piece i.
func (l *link) offers(p *plan, i int32, now time.Time) bool {
	if now.Before(l.until) {
		return false
	}
	if t, ok := l.denied[i]; ok && now.Sub(t) < denialTime {
		return false
	}
	c := &p.pieces[i]
	if c.root < 0 {
		return true
	}
	if k := &l.files[c.root]; k.known {
		return k.has(c.want.Index)
	}
	return len(p.links) == 1 || len(p.roots[c.root].pieces) <= manyPieces
}

// complete says whether the peer told that it has the whole file of c.
func (l *link) complete(c *piece) bool { return c.root >= 0 && l.files[c.root].all }

// aside is what a complete peer may be asked for although incomplete ones have it or soon will. So long as it has
// something that nobody else has, that is nothing: so several who fetch the same from one draw about one copy from it, and the
// rest from each other. When it has been idle for a moment the others seem to be slow, and it gets a little, then more.
type aside struct {
	busy  time.Time // when it was last asked for something else, or got its grant
	grant int       // bytes that it was last given
	left  int
}

const (
	asidePause = 500 * time.Millisecond
	asideLeast = 1 << 20
)

// spends says whether c may be asked of l, which offers it.
func (l *link) spends(c *piece, now time.Time) bool {
	if !c.secondHand || !l.complete(c) {
		l.aside = aside{busy: now}
		return true
	}
	if l.aside.left <= 0 && now.Sub(l.aside.busy) > asidePause {
		l.aside.grant = min(max(2*l.aside.grant, asideLeast), l.f.s.c.Window)
		l.aside.left, l.aside.busy = l.aside.grant, now
	}
	if l.aside.left <= 0 {
		return false
	}
	l.aside.left -= c.bytes()
	return true
}

// fruitful lets a peer that has what is asked be asked for more.
func (l *link) fruitful() {
	l.batch = min(l.batch+1, maxIDs)
	l.misses, l.quiet = 0, 0
}

// barren lets it be asked for less, and when it has nothing, be left alone for a moment.
func (l *link) barren() {
	l.batch = max(l.batch-2, leastBatch)
	if l.misses++; l.misses%(2*startBatch) == 0 {
		l.quiet = min(max(2*l.quiet, firstQuiet), mostQuiet)
		l.until = time.Now().Add(l.quiet)
	}
}

// run keeps n lanes, and asks for bitmaps if there are any to ask for, until ctx ends.
func (l *link) run(ctx context.Context, n int) {
	tasks := []func(context.Context) error{}
	for range n {
		a := &lane{link: l, kick: make(chan struct{}, 1), most: max(minWindow, l.f.s.c.Window/n)}
		tasks = append(tasks, a.once)
	}
	if len(l.f.plan.roots) > 0 {
		tasks = append(tasks, l.poll)
	}
	finished := make(chan struct{})
	for _, t := range tasks {
		go func() {
			defer func() { finished <- struct{}{} }()
			l.keep(ctx, t)
		}()
	}
	for range tasks {
		<-finished
	}
}

// keep does task again when it fails, after a pause that grows while it fails at once.
func (l *link) keep(ctx context.Context, task func(context.Context) error) {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		start := time.Now()
		err := task(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.f.blame(l.peer, err)
		}
		if err == nil || time.Since(start) > mostPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// request is a piece that a lane was asked for, how, and when.
type request struct {
	piece int32
	kind  byte
	at    time.Time
}

// lane is one stream to a peer: requests go out and replies come back in the same order.
type lane struct {
	link *link
	kick chan struct{} // there may be something to ask for
	most int           // bytes
	last atomic.Int64  // when a byte came or the first was asked for, unix ns

	// Guarded by plan.mu.
	queue   []request
	pending int // bytes asked for
	window  int // bytes that may be
	retired bool
	cancel  context.CancelCauseFunc
	worse   func() bool // a better connection than this lane's has come up

	since time.Time // the rate is measured from here
	got   int
	delay time.Duration // the least from request to reply
}

func (a *lane) poke() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

func (a *lane) heard() time.Time { return time.Unix(0, a.last.Load()) }
func (a *lane) hear()            { a.last.Store(time.Now().UnixNano()) }

// room says whether one more piece may be asked for. Two always may, however big, so that the peer never waits.
func (a *lane) room() bool {
	return len(a.queue) < a.link.batch && (a.pending < a.window || len(a.queue) < 2)
}

// drop takes the n oldest requests off the queue.
func (a *lane) drop(p *plan, n int) {
	for _, q := range a.queue[:n] {
		c := &p.pieces[q.piece]
		c.lanes--
		a.pending -= c.bytes()
		p.pending--
	}
	a.queue = slices.Delete(a.queue, 0, n)
}

// measure lets the window follow what the connection carries in half a second, or in twice its delay: enough to keep it full
// though a busy machine answers late, and little to lose when the peer goes away.
func (a *lane) measure(p *plan, q request, now time.Time) {
	if d := now.Sub(q.at); a.delay == 0 || d < a.delay {
		a.delay = max(d, 1)
	}
	a.got += p.pieces[q.piece].bytes()
	passed := now.Sub(a.since)
	if passed < rateTime {
		return
	}
	rate := float64(a.got) / passed.Seconds()
	target := int(rate * max(ahead, 2*a.delay).Seconds())
	a.window = min(max(target, a.window*3/4, minWindow), a.most)
	a.since, a.got = now, 0
}

var errStalled = errors.New("stalled")

// watch cuts off the lanes that were silent for too long with requests before them, retires those of a worse connection
// than there now is, and pokes all.
func (p *plan) watch(stall time.Duration) {
	now := time.Now()
	for _, a := range p.all() {
		p.mu.Lock()
		silent := len(a.queue) > 0 && now.Sub(a.heard()) > stall
		cancel, worse := a.cancel, a.worse
		p.mu.Unlock()
		if silent && cancel != nil {
			cancel(errStalled)
		}
		if worse != nil && worse() {
			p.retire(a)
		}
		a.poke()
	}
}

func (p *plan) retire(a *lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.retired = true
}

// spent says whether a retired lane has nothing more to wait for.
func (p *plan) spent(a *lane) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return a.retired && len(a.queue) == 0
}

func (p *plan) all() (lanes []*lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		lanes = append(lanes, l.lanes...)
	}
	return lanes
}

func (p *plan) poke() {
	for _, a := range p.all() {
		a.poke()
	}
}

// join makes a lane known, fresh.
func (p *plan) join(a *lane, cancel context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	a.queue, a.pending, a.retired, a.worse = nil, 0, false, nil
	a.window, a.since, a.got, a.delay, a.cancel = min(newWindow, a.most), now, 0, 0, cancel
	a.link.lanes = append(a.link.lanes, a)
}

func (p *plan) addLink(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.files, l.denied, l.batch = make([]known, len(p.roots)), map[int32]time.Time{}, startBatch
	p.links = append(p.links, l)
}

func (p *plan) dropLink(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = slices.DeleteFunc(p.links, func(m *link) bool { return m == l })
	p.stale = true
}

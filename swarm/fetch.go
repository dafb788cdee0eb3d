package swarm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Want names one chunk, or one block of a manifest.
type Want struct {
	ID    chunker.ID
	Size  uint32 // bytes; 0 where it is not known, for a manifest block
	Block bool
	Root  chunker.ID // the file it is chunk Index of; zero for a small file, of which no bitmap is asked
	Index int
}

// Request says what to fetch, of whom, and where to put it.
type Request struct {
	Pool Pool
	// Peers are the members that may be asked now. It is called several times a second and must not block; who is not in it
	// any more is not asked any more. The caller may not change a slice that it returned.
	Peers func() []peer.ID
	// Wants may name a content several times: it is fetched once. The slice is not held after Fetch.
	Wants []Want
	// Put is called once for each want with its verified bytes, which are valid during the call, from several goroutines at
	// once. An error ends the fetch.
	Put func(w Want, b []byte) error
	// Progress, where set, is called after each Put with the bytes that were put. It may be called from several goroutines
	// at once.
	Progress func(bytes int64)
}

// Incomplete is the error of a Fetch that could not get everything. Everything else was put.
type Incomplete struct {
	Missing []Want
	Why     map[peer.ID]string // what was last wrong with each peer that was asked
}

func (e *Incomplete) Error() string {
	return fmt.Sprintf("%d chunks could not be had from %d members", len(e.Missing), len(e.Why))
}

const (
	tick      = 100 * time.Millisecond // between looks at peers and silent lanes
	mostLinks = 32                     // peers asked at once
	mostPut   = 4                      // lanes to one peer
	laneWorth = 1 << 20                // bytes that are worth a further lane
)

// fetch is one Request being served.
type fetch struct {
	s        *Swarm
	req      Request
	plan     *plan
	bytes    int64
	progress atomic.Int64 // when bytes of a chunk last came, unix ns
	children sync.WaitGroup

	mu  sync.Mutex
	why map[peer.ID]string
}

// Fetch gets everything that r wants. It returns nil when all is put, an [*Incomplete] when no peer gave anything for Config.Patience,
// the error of Put, or that of ctx. Peers that come, go, stall or lie meanwhile are coped with. No Put is running and no goroutine is
// left when it returns. Several may run at once.
func (s *Swarm) Fetch(ctx context.Context, r Request) error {
	plan, err := newPlan(r.Wants)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	r.Wants = nil
	f := &fetch{s: s, req: r, plan: plan, why: map[peer.ID]string{}}
	for i := range plan.pieces {
		f.bytes += int64(plan.pieces[i].bytes())
	}
	f.progress.Store(time.Now().UnixNano())
	s.mu.Lock()
	s.fetches[f] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.fetches, f)
	}()
	return f.run(ctx)
}

func (f *fetch) run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	err := f.await(inner)
	cancel()
	f.children.Wait()
	if perr := f.plan.failure(); perr != nil {
		return perr
	}
	if len(f.plan.missing()) == 0 {
		return nil // what was on its way when we gave up has come
	}
	return err
}

// await looks after the peers until everything has come or nothing will.
func (f *fetch) await(ctx context.Context) error {
	links := map[peer.ID]context.CancelFunc{}
	t := time.NewTicker(min(tick, f.s.c.Poll, f.s.c.Patience))
	defer t.Stop()
	for {
		f.attend(ctx, links)
		f.plan.watch(f.s.c.Stall)
		select {
		case <-f.plan.whole:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("fetch: %w", ctx.Err())
		case <-t.C:
		}
		if f.hopeless() {
			return &Incomplete{Missing: f.plan.missing(), Why: f.reasons()}
		}
	}
}

// attend starts a link to each peer that is new, and ends those of peers that are gone or barred.
func (f *fetch) attend(ctx context.Context, links map[peer.ID]context.CancelFunc) {
	now := map[peer.ID]bool{}
	for _, p := range f.req.Peers() {
		if p == f.s.host.ID() {
			continue
		}
		if f.s.isBarred(f.req.Pool, p) {
			f.blame(p, ErrWrongBytes)
			continue
		}
		now[p] = true
	}
	for p, cancel := range links {
		if !now[p] {
			cancel()
			delete(links, p)
		}
	}
	if len(links) == 0 && len(now) > 1 {
		f.plan.shuffle()
	}
	for p := range now {
		if _, ok := links[p]; !ok && len(links) < mostLinks {
			links[p] = f.start(ctx, p, len(now))
		}
	}
}

// start begins to ask p, one of so many peers.
func (f *fetch) start(ctx context.Context, p peer.ID, peers int) context.CancelFunc {
	ctx, cancel := context.WithCancel(ctx)
	l := &link{f: f, peer: p, doubted: f.s.isDoubted(f.req.Pool, p)}
	f.plan.addLink(l)
	f.children.Go(func() {
		defer f.plan.dropLink(l)
		l.run(ctx, f.lanes(peers))
	})
	return cancel
}

// lanes is how many streams to hold to each of so many peers: one for a little, four for much, fewer when many peers are
// asked at once.
func (f *fetch) lanes(peers int) int {
	most := mostPut
	if peers > mostPut {
		most = mostPut / 2
	}
	return int(min(int64(most), 1+f.bytes/laneWorth))
}

// hopeless says whether nobody gives anything any more. While a request is out, its peer has as long as it may stall.
func (f *fetch) hopeless() bool {
	quiet := time.Since(time.Unix(0, f.progress.Load()))
	if f.plan.waitsFor() {
		return quiet > f.s.c.Patience+f.s.c.Stall
	}
	return quiet > f.s.c.Patience
}

// lose gives to others what a lane was asked, and tells them.
func (f *fetch) lose(a *lane) {
	f.plan.lose(a)
	f.plan.poke()
}

// doubt lets the peer of a verify what it sends from now on, and asks again for what was wrong.
func (f *fetch) doubt(a *lane, w Want) {
	f.s.doubt(f.req.Pool, a.link.peer)
	f.plan.doubt(a)
	f.plan.poke()
	f.s.c.Log.Debug("what a peer sent as it lay was wrong; it verifies from now on", "peer", a.link.peer, "chunk", w.ID)
}

// blame remembers what was wrong with a peer, and bars the one that lied.
func (f *fetch) blame(p peer.ID, err error) {
	f.mu.Lock()
	if f.why[p] != errRefused.Error() || errors.Is(err, ErrWrongBytes) {
		f.why[p] = reason(err) // a refusal says more than the broken streams that follow it
	}
	f.mu.Unlock()
	if errors.Is(err, ErrWrongBytes) && !f.s.isBarred(f.req.Pool, p) {
		f.s.bar(f.req.Pool, p)
		if f.s.c.Blame != nil {
			f.s.c.Blame(f.req.Pool, p, err)
		}
		f.s.c.Log.Warn("peer sent wrong bytes and is not asked for now", "peer", p, "for", f.s.c.Quarantine, "err", err)
	}
}

// reason is what is said to people of err.
func reason(err error) string {
	if errors.Is(err, ErrWrongBytes) {
		return ErrWrongBytes.Error()
	}
	return err.Error()
}

func (f *fetch) reasons() map[peer.ID]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.why)
}

// put hands b to the caller for each place that wants it.
func (f *fetch) put(wants []Want, b []byte) error {
	for _, w := range wants {
		if err := f.req.Put(w, b); err != nil {
			return fmt.Errorf("put chunk %v: %w", w.ID, err)
		}
		if f.req.Progress != nil {
			f.req.Progress(int64(len(b)))
		}
	}
	return nil
}

// failure is the error of Put, if there was one.
func (p *plan) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// waitsFor says whether any request is out.
func (p *plan) waitsFor() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pending > 0
}

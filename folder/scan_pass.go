package folder

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bwaklog/meerkat/event"
)

const (
	emitMax   = 512
	emitEvery = 100 * time.Millisecond
	queued    = 1024 // files that wait for hashing
	found     = 4096 // findings that wait for emit: while it makes some durable, the next are looked for
)

// pass is one walk: walkers read directories and compare, hashers read files, one collector emits.
type pass struct {
	*scan
	ctx   context.Context
	dirs  *queue
	jobs  chan job
	out   chan Seen
	whole map[event.Path]bool // by feed: scanned with everything below
	sound map[event.Path]bool // by feed: a directory, here as in the index
	row   rowCache            // by feed
	twins map[Stat]Known      // before anything runs
}

func (s *scan) pass(ctx context.Context, dirty []Dirty) error {
	g, ctx := errgroup.WithContext(ctx)
	p := &pass{
		scan: s, ctx: ctx, dirs: newQueue(), jobs: make(chan job, queued), out: make(chan Seen, found),
		whole: map[event.Path]bool{}, sound: map[event.Path]bool{}, twins: map[Stat]Known{},
	}
	if err := p.findTwins(dirty); err != nil {
		return errors.Join(err, g.Wait()) // nobody runs yet
	}
	defer context.AfterFunc(ctx, p.dirs.stop)()
	n := max(2, runtime.GOMAXPROCS(0))
	g.Go(p.collect)
	g.Go(func() error { defer p.dirs.done(); return p.feed(dirty) })
	crew(g, n, p.walk, func() { close(p.jobs) })
	crew(g, n, p.hash, func() { close(p.out) })
	return g.Wait()
}

// crew starts n workers on g, and calls last after the last of them.
func crew(g *errgroup.Group, n int, work func() error, last func()) {
	var left sync.WaitGroup
	left.Add(n)
	for range n {
		g.Go(func() error { defer left.Done(); return work() })
	}
	g.Go(func() error { left.Wait(); last(); return nil })
}

// collect emits what is found until out is closed.
func (p *pass) collect() error {
	tick := time.NewTicker(emitEvery)
	defer tick.Stop()
	var batch []Seen
	for {
		select {
		case seen, more := <-p.out:
			if more {
				batch = append(batch, seen)
			}
			if len(batch) == emitMax || !more && len(batch) > 0 {
				if err := p.emit(batch); err != nil {
					return err
				}
				batch = nil
			}
			if !more {
				return nil
			}
		case <-tick.C:
			p.tell()
			if len(batch) > 0 {
				if err := p.emit(batch); err != nil {
					return err
				}
				batch = nil
			}
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
}

func (p *pass) send(s Seen) error {
	select {
	case p.out <- s:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// sendValue sends what stands at path, unless the index knows just that.
func (p *pass) sendValue(s Seen, k *Known) error {
	if k != nil && k.holds(s.Value) {
		if k.Stat == s.Stat && k.Racy == s.Racy {
			return nil
		}
		s.Only = OnlyStat
	}
	return p.send(s)
}

func (k *Known) holds(v event.Value) bool {
	return k.Kind == v.Kind && k.Root == v.Root && k.Target == v.Target && k.Mode == v.Mode && k.MTime == v.MTime
}

// queue holds directories to be walked. It is over when it is empty and nobody works who could add to it.
type queue struct {
	mu   sync.Mutex
	wake *sync.Cond
	todo []event.Path
	busy int
	over bool
}

// newQueue counts its maker as busy: done ends that.
func newQueue() *queue {
	q := &queue{busy: 1}
	q.wake = sync.NewCond(&q.mu)
	return q
}

func (q *queue) push(dir event.Path) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.todo = append(q.todo, dir)
	q.wake.Signal()
}

// pop waits for a directory, the youngest first so that the queue stays short. Each one owes a done.
func (q *queue) pop() (event.Path, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.todo) == 0 && !q.over {
		q.wake.Wait()
	}
	if q.over {
		return "", false
	}
	last := len(q.todo) - 1
	dir := q.todo[last]
	q.todo = q.todo[:last]
	q.busy++
	return dir, true
}

func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	if q.busy == 0 && len(q.todo) == 0 {
		q.over = true
		q.wake.Broadcast()
	}
}

func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.wake.Broadcast()
}

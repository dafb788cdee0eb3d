package swarm

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/bwaklog/meerkat/chunker"
)

// piece is one content that is wanted, perhaps at several places.
type piece struct {
	want  Want
	also  []Want // the same content elsewhere
	root  int32  // index into plan.roots, -1: nobody is asked for a bitmap
	state state
	lanes uint8 // how many it is asked of
	worth uint8 // how many peers have it or soon will, as of the last ranking

	secondHand bool // some peer that is itself incomplete has it or soon will
	prev, next int32
}

type state uint8

const (
	todo    state = iota // in the list
	asked                // of one lane or more
	putting              // verified, on its way to the caller
	done
)

const (
	run        = 16              // neighbouring pieces that stay together when the order is shuffled: disks like runs
	guess      = 64 << 10        // bytes of a want of unknown size, for the window
	denialTime = 2 * time.Second // how long a peer's "missing" is believed
	lastPieces = 16              // so many may be asked of a second peer when nothing else is left to ask
	slowTime   = time.Second     // and any, of a lane that was silent for so long
	mostLanes  = 2               // that a piece is asked of
	manyPieces = 64              // of one file; fewer are asked for before bitmaps are known
)

// plan knows what is still to fetch and of whom it was asked. It makes every decision, and does no I/O.
type plan struct {
	mu      sync.Mutex
	pieces  []piece // and at the end the sentinel of the list of todo
	roots   []root
	order   []int32 // in which pieces of equal worth stand in the list
	left    int     // pieces not done
	waiting int     // pieces in the list
	pending int     // requests out
	links   []*link
	stale   bool  // bitmaps have changed since the ranking
	err     error // of Put
	whole   chan struct{}
	over    bool
}

// root is a file of which bitmaps are asked.
type root struct {
	id     chunker.ID
	pieces []int32
	left   int
}

var errSize = errors.New("chunk size out of range")

// newPlan makes a list of the wants, equal contents once.
func newPlan(wants []Want) (*plan, error) {
	p := &plan{whole: make(chan struct{})}
	seen := make(map[content]int32, len(wants))
	files := map[chunker.ID]int32{}
	for _, w := range wants {
		if w.Size > chunker.MaxChunk {
			return nil, errSize
		}
		if i, ok := seen[content{w.ID, w.Block}]; ok {
			p.pieces[i].also = append(p.pieces[i].also, w)
			continue
		}
		seen[content{w.ID, w.Block}] = int32(len(p.pieces))
		p.pieces = append(p.pieces, piece{want: w, root: p.file(files, w)})
	}
	p.left = len(p.pieces)
	p.pieces = append(p.pieces, piece{state: done})
	p.order = make([]int32, p.left)
	for i := range p.order {
		p.order[i] = int32(i)
	}
	p.relist()
	if p.left == 0 {
		p.finish()
	}
	return p, nil
}

type content struct {
	id    chunker.ID
	block bool
}

func (p *plan) file(files map[chunker.ID]int32, w Want) int32 {
	if w.Root.IsZero() || w.Block || w.Index < 0 {
		return -1
	}
	f, ok := files[w.Root]
	if !ok {
		f = int32(len(p.roots))
		files[w.Root] = f
		p.roots = append(p.roots, root{id: w.Root})
	}
	p.roots[f].pieces = append(p.roots[f].pieces, int32(len(p.pieces)))
	p.roots[f].left++
	return f
}

func (p *plan) finish() {
	if !p.over {
		p.over = true
		close(p.whole)
	}
}

// shuffle puts runs of pieces in random order, so that several who fetch the same from one can soon give to each other.
func (p *plan) shuffle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	runs := slices.Collect(slices.Chunk(p.order, run))
	rand.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
	p.order = slices.Concat(runs...)
	p.relist()
}

// relist links the pieces that are todo, the rarest first, those of equal worth as order has them.
func (p *plan) relist() {
	end := int32(len(p.pieces) - 1)
	p.pieces[end].prev, p.pieces[end].next = end, end
	p.waiting = 0
	for worth := range len(p.links) + 1 {
		for _, i := range p.order {
			if c := &p.pieces[i]; c.state == todo && min(int(c.worth), len(p.links)) == worth {
				p.insert(i, p.pieces[end].prev)
			}
		}
	}
}

// insert puts piece i behind the one at after.
func (p *plan) insert(i, after int32) {
	next := p.pieces[after].next
	p.pieces[i].prev, p.pieces[i].next = after, next
	p.pieces[after].next, p.pieces[next].prev = i, i
	p.pieces[i].state = todo
	p.waiting++
}

func (p *plan) remove(i int32) {
	c := &p.pieces[i]
	p.pieces[c.prev].next, p.pieces[c.next].prev = c.next, c.prev
	p.waiting--
}

// rank counts who has what, and puts the rarest first. While every peer is complete, or none was asked, nothing changes.
func (p *plan) rank() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stale {
		return
	}
	p.stale = false
	for f := range p.roots {
		if p.roots[f].left > 0 {
			p.rankFile(f)
		}
	}
	p.relist()
}

func (p *plan) rankFile(f int) {
	for _, i := range p.roots[f].pieces {
		c := &p.pieces[i]
		c.worth, c.secondHand = 0, false
		for _, l := range p.links {
			h := &l.files[f]
			if !h.known || !h.has(c.want.Index) && !h.awaits(c.want.Index) {
				continue
			}
			c.worth += min(1, 255-c.worth)
			c.secondHand = c.secondHand || !h.all
		}
	}
}

// pick chooses what lane a asks for next: nothing, while its window is more than half full or nobody knows better.
// What it returns counts as asked, in this order.
func (p *plan) pick(a *lane, now time.Time) []ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || a.retired || 2*a.pending > a.window || 2*len(a.queue) > a.link.batch {
		return nil
	}
	from, idle := len(a.queue), len(a.queue) == 0
	for i := p.first(); i != p.end() && a.room(); {
		c, next := &p.pieces[i], p.pieces[i].next
		if a.link.offers(p, i, now) && a.link.spends(c, now) {
			p.remove(i)
			p.ask(a, i, now)
		}
		i = next
	}
	if idle && len(a.queue) == 0 {
		p.double(a, now)
	}
	return p.frames(a.queue[from:])
}

func (p *plan) end() int32   { return int32(len(p.pieces) - 1) }
func (p *plan) first() int32 { return p.pieces[p.end()].next }

func (p *plan) ask(a *lane, i int32, now time.Time) {
	c := &p.pieces[i]
	c.state = asked
	c.lanes++
	p.pending++
	a.pending += c.bytes()
	a.queue = append(a.queue, request{i, a.link.kindOf(c.want), now})
}

func (c *piece) bytes() int {
	if c.want.Size == 0 {
		return guess
	}
	return int(c.want.Size)
}

// double asks an idle lane for what others were asked but have not given: the last few pieces, and those of lanes that
// have fallen silent.
func (p *plan) double(a *lane, now time.Time) {
	few := p.waiting == 0 && p.pending <= lastPieces
	for _, l := range p.links {
		if l == a.link {
			continue
		}
		for _, b := range l.lanes {
			if !few && now.Sub(b.heard()) < slowTime {
				continue
			}
			for _, q := range b.queue {
				if c := &p.pieces[q.piece]; c.state == asked && c.lanes < mostLanes && a.pending < laneWorth && a.link.offers(p, q.piece, now) {
					p.ask(a, q.piece, now)
				}
			}
		}
	}
}

// head is what lane a expects the next reply to be.
func (p *plan) head(a *lane) (q request, w Want, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(a.queue) == 0 {
		return request{}, Want{}, false
	}
	q = a.queue[0]
	return q, p.pieces[q.piece].want, true
}

// take ends the oldest request of a. mine: its bytes are the caller's to put, and then to settle. A piece that another
// lane brought first is nobody's.
func (p *plan) take(a *lane, good bool, now time.Time) (wants []Want, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := a.queue[0]
	a.drop(p, 1)
	a.measure(p, q, now)
	c := &p.pieces[q.piece]
	if good {
		a.link.fruitful()
	} else {
		a.link.denied[q.piece] = now
		a.link.barren()
	}
	if c.state != asked {
		return nil, false
	}
	if good {
		c.state = putting
		return append([]Want{c.want}, c.also...), true
	}
	if c.lanes == 0 {
		p.giveBack(q.piece)
	}
	return nil, false
}

// doubt ends the oldest request of a, whose reply was wrong though its sender was not asked to look. The piece is asked for
// again, of that peer as well, which has to verify from now on.
func (p *plan) doubt(a *lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := a.queue[0]
	a.drop(p, 1)
	a.link.doubted = true
	if c := &p.pieces[q.piece]; c.state == asked && c.lanes == 0 {
		p.giveBack(q.piece)
	}
}

// settle ends a piece that take gave out.
func (p *plan) settle(i int32, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = cmp.Or(p.err, err)
		p.finish()
		return
	}
	c := &p.pieces[i]
	c.state = done
	if c.root >= 0 {
		p.roots[c.root].left--
	}
	if p.left--; p.left == 0 {
		p.finish()
	}
}

// giveBack puts a piece in front of the list again.
func (p *plan) giveBack(i int32) { p.insert(i, p.end()) }

// lose gives what lane a was asked, and will not bring, to the others.
func (p *plan) lose(a *lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := slices.Clone(a.queue)
	a.drop(p, len(a.queue))
	for _, q := range slices.Backward(lost) {
		if c := &p.pieces[q.piece]; c.state == asked && c.lanes == 0 {
			p.giveBack(q.piece)
		}
	}
	a.link.lanes = slices.DeleteFunc(a.link.lanes, func(b *lane) bool { return b == a })
}

// coming marks in bits, n of them, the pieces of a file that were asked for.
func (p *plan) coming(id chunker.ID, n int, bits []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := slices.IndexFunc(p.roots, func(r root) bool { return r.id == id })
	if f < 0 || n > maxBits {
		return bits
	}
	for _, i := range p.roots[f].pieces {
		c := &p.pieces[i]
		if c.state == todo || c.state == done || c.want.Index >= n {
			continue
		}
		if bits == nil {
			bits = make([]byte, (n+7)/8)
		}
		setBit(bits, c.want.Index)
	}
	return bits
}

// missing are the wants that are not done.
func (p *plan) missing() (wants []Want) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.pieces[:p.end()] {
		if c := &p.pieces[i]; c.state != done {
			wants = append(append(wants, c.want), c.also...)
		}
	}
	return wants
}

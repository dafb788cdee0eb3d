package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

const (
	// flightPatience is how long a round waits for content before it goes on
	// with what else there is to do.
	flightPatience = time.Second
	flightLook     = 100 * time.Millisecond
)

// What is fetched of an author while much of the same author's is on its way.
const (
	quickFile  = 16 << 20 // of one file
	quickBytes = 32 << 20
	quickFiles = 256
)

// flights are the fetches under way. Each author has one for all that there
// is to fetch and, while that goes on, one for a little of the newest that
// waits, and one for a little of what is news. So content which does not come,
// or comes a byte at a time, keeps nobody else's waiting, and what was just
// saved does not wait behind what is much. The zero value is ready.
type flights struct {
	mu    sync.Mutex
	by    map[lane]bool
	paths map[event.Path]bool
	roots map[chunker.ID]bool // of contents that lie in a partial file meanwhile
	all   sync.WaitGroup
}

// lane is one of the ways that an author's content comes.
type lane struct {
	author peer.ID
	kind   laneKind
}

type laneKind byte

const (
	wholeLane laneKind = iota // all that there is
	quickLane                 // beside that, a little of what waits
	freshLane                 // beside both, a little of what is news
)

// flight is one fetch under way.
type flight struct {
	lane  lane
	steps []folder.Step
}

// begin claims what of an author's steps can be fetched now, on the lane beside
// where the whole one is taken, or where they are news; nil is nothing.
func (f *flights) begin(p peer.ID, steps []folder.Step, views map[event.Path]event.View, beside laneKind) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &flight{lane: lane{author: p}, steps: f.free(steps)}
	if f.by[l.lane] || beside == freshLane {
		l.lane.kind, l.steps = beside, latest(l.steps, views)
	}
	if f.by[l.lane] || len(l.steps) == 0 {
		return nil
	}
	f.mark(l)
	f.all.Add(1)
	return l
}

// free are the steps whose content is not on its way for another path.
func (f *flights) free(steps []folder.Step) []folder.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s folder.Step) bool { return f.roots[s.Want.Root] })
}

func (f *flights) mark(l *flight) {
	if f.by == nil {
		f.by, f.paths, f.roots = map[lane]bool{}, map[event.Path]bool{}, map[chunker.ID]bool{}
	}
	f.by[l.lane] = true
	for _, s := range l.steps {
		f.paths[s.Path] = true
		if s.Want.Size > smallFile {
			f.roots[s.Want.Root] = true
		}
	}
}

func (f *flights) end(l *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.by, l.lane)
	for _, s := range l.steps {
		delete(f.paths, s.Path)
		delete(f.roots, s.Want.Root)
	}
	f.all.Done()
}

// latest are the newest of steps, as far as they are little.
func latest(steps []folder.Step, views map[event.Path]event.View) []folder.Step {
	little := slices.DeleteFunc(steps, func(s folder.Step) bool { return s.Want.Size > quickFile })
	slices.SortStableFunc(little, func(a, b folder.Step) int { return cmp.Compare(views[b.Path].HLC, views[a.Path].HLC) })
	var bytes int64
	for i, s := range little {
		if bytes += s.Want.Size; bytes > quickBytes || i == quickFiles {
			return little[:i]
		}
	}
	return little
}

// on tells whether p is being fetched.
func (f *flights) on(p event.Path) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paths[p]
}

// landing is how a flight ended.
type landing struct {
	done int
	err  error
}

// fetchAll brings the content of steps from other members and applies them,
// each author's by itself; it counts those that are done. When something else
// waits to be done it does not wait for the rest, which goes on meanwhile. What
// nobody online has is marked and left. For what is news it never waits.
func (r *replica) fetchAll(ctx context.Context, steps []folder.Step, views map[event.Path]event.View, beside laneKind) (int, error) {
	if len(steps) == 0 {
		return 0, nil
	}
	if len(r.onlineMembers()) == 0 {
		return 0, r.noteAll(steps, reasonNobody, "no member is online")
	}
	parts := map[peer.ID][]folder.Step{}
	for _, s := range steps {
		p := views[s.Path].Author
		parts[p] = append(parts[p], s)
	}
	landed := make(chan landing, len(parts))
	out := 0
	for p, part := range parts {
		l := r.flights.begin(p, part, views, beside)
		if beside == freshLane {
			r.stillNews(part)
		}
		if l == nil {
			continue
		}
		out++
		go func() { // flights.all waits for it
			n, err := r.fly(ctx, l.steps, views)
			r.flights.end(l)
			landed <- landing{n, err}
			r.applyNow.poke()
		}()
	}
	if beside == freshLane {
		return 0, nil
	}
	return r.awaitFlights(ctx, landed, out)
}

// awaitFlights gathers what has landed, until all has or there is other work.
func (r *replica) awaitFlights(ctx context.Context, landed <-chan landing, out int) (done int, err error) {
	r.applies.rest() // what is under way moves by itself
	start := time.Now()
	tick := time.NewTicker(flightLook)
	defer tick.Stop()
	for out > 0 {
		select {
		case l := <-landed:
			out--
			done += l.done
			if err == nil {
				err = l.err
			}
		case <-tick.C:
			if (r.news.some() || time.Since(start) > flightPatience && len(r.applyNow.c) > 0) && ctx.Err() == nil {
				return done, err
			}
		}
	}
	return done, err
}

// fly is one author's fetch.
func (r *replica) fly(ctx context.Context, steps []folder.Step, views map[event.Path]event.View) (int, error) {
	r.beginFetch(steps)
	defer r.endFetch()
	done := 0
	for _, part := range r.cutLists(steps) {
		n, err := r.fetchPart(ctx, part, views)
		done += n
		if err != nil || ctx.Err() != nil {
			return done, err
		}
	}
	return done, nil
}

// fetchPart brings the lists of chunks, and then the content, of some steps.
func (r *replica) fetchPart(ctx context.Context, steps []folder.Step, views map[event.Path]event.View) (int, error) {
	lists, err := r.manifests(ctx, steps)
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	done := 0
	err = inParallel(ctx, loads, cutLoads(steps), func(ctx context.Context, part []folder.Step) error {
		n, err := r.load(ctx, part, lists, views)
		mu.Lock()
		done += n
		mu.Unlock()
		return err
	})
	return done, err
}

package node

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
)

const (
	// flightPatience is how long a round waits for content before it goes on
	// with what else there is to do.
	flightPatience = time.Second
	flightLook     = 100 * time.Millisecond
)

// flights are the fetches under way, one for each author, so that content
// which does not come, or comes a byte at a time, keeps nobody else's waiting.
// Its zero value is ready.
type flights struct {
	mu    sync.Mutex
	by    map[peer.ID]bool
	paths map[event.Path]bool
	all   sync.WaitGroup
}

// begin claims the author and the paths; false while a fetch for the author
// is under way.
func (f *flights) begin(p peer.ID, steps []folder.Step) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[p] {
		return false
	}
	if f.by == nil {
		f.by, f.paths = map[peer.ID]bool{}, map[event.Path]bool{}
	}
	f.by[p] = true
	for _, s := range steps {
		f.paths[s.Path] = true
	}
	f.all.Add(1)
	return true
}

func (f *flights) end(p peer.ID, steps []folder.Step) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.by, p)
	for _, s := range steps {
		delete(f.paths, s.Path)
	}
	f.all.Done()
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
// nobody online has is marked and left.
func (r *replica) fetchAll(ctx context.Context, steps []folder.Step, views map[event.Path]event.View) (int, error) {
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
		if !r.flights.begin(p, part) {
			continue
		}
		out++
		go func() { // flights.all waits for it
			n, err := r.fly(ctx, part, views)
			r.flights.end(p, part)
			landed <- landing{n, err}
			r.applyNow.poke()
		}()
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
			if time.Since(start) > flightPatience && len(r.applyNow.c) > 0 && ctx.Err() == nil {
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

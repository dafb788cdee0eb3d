package node

import (
	"context"
	"slices"
	"sync"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

// newsMost is how many paths are news at once; what comes in greater numbers
// is brought with all else.
const newsMost = 256

// news are the paths that events came for lately, so that what somebody just
// saved is brought before all that has been waiting. Losing one costs a delay
// and nothing else. The zero value is ready.
type news struct {
	mu    sync.Mutex
	paths []event.Path
}

func (n *news) add(paths []event.Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.paths)+len(paths) <= newsMost {
		n.paths = append(n.paths, paths...)
	}
}

// take empties the news: each path once, each directory before what is below it.
func (n *news) take() []event.Path {
	n.mu.Lock()
	paths := n.paths
	n.paths = nil
	n.mu.Unlock()
	slices.SortFunc(paths, folder.ComparePaths)
	return slices.Compact(paths)
}

func (n *news) some() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.paths) > 0
}

// bringNews works off the needs of the paths that are news.
func (r *replica) bringNews(ctx context.Context) (did int, err error) {
	var needs []store.Need
	for _, p := range r.news.take() {
		n, ok, err := r.st.NeedAt(p)
		if err != nil {
			return 0, err
		}
		if ok && n.Reason == "" {
			needs = append(needs, n)
		}
	}
	if len(needs) == 0 {
		return 0, nil
	}
	did, _, err = r.round(ctx, needs, freshLane, func(store.Need) bool { return true })
	return did, err
}

// stillNews takes back what could not be fetched yet because as much as may be
// is on its way, unless it has to wait for that in any case.
func (r *replica) stillNews(steps []folder.Step) {
	var paths []event.Path
	for _, s := range steps {
		if s.Want.Size <= quickFile {
			paths = append(paths, s.Path)
		}
	}
	r.news.add(paths)
}

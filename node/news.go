package node

import (
	"context"
	"slices"
	"sync"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/folder"
	"github.com/bwaklog/meerkat/store"
)

const (
	// newsMost is how many paths are news at once: the newest.
	newsMost = 256
	// newsFew events alone in a segment are what somebody just saved, whatever
	// comes with it.
	newsFew = 16
	// loneMost changes in a directory, while there are many elsewhere, are no
	// part of those.
	loneMost = 2
)

// news are the paths that somebody just saved something at, as it looks, so
// that it is brought before all that has been waiting. Losing one costs a delay
// and nothing else. The zero value is ready.
type news struct {
	mu    sync.Mutex
	paths []event.Path
}

// add takes in what came, in the order in which it came.
func (n *news) add(segs []event.Segment) {
	for _, s := range segs {
		n.addPaths(saved(s.Leaves))
	}
}

func (n *news) addPaths(paths []event.Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths = append(n.paths, paths...)
	n.paths = n.paths[max(0, len(n.paths)-newsMost):]
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

// saved are the paths of a segment's events that look like single saves.
func saved(leaves []event.Leaf) (paths []event.Path) {
	few := len(leaves) <= newsFew
	for _, l := range leaves {
		if l.Raw != nil && (few || l.Event.Value.Live()) { // a name that goes may come again elsewhere, in the same flood
			paths = append(paths, l.Event.Path)
		}
	}
	if few {
		return paths
	}
	return lone(paths)
}

// lone are those of paths that have hardly any neighbour among them, in
// directories that are not among them either.
func lone(paths []event.Path) (out []event.Path) {
	in := map[event.Path]int{}
	for _, p := range paths {
		in[p.Dir()]++
		in[p] += loneMost
	}
	for _, p := range paths {
		if in[p.Dir()] <= loneMost {
			out = append(out, p)
		}
	}
	return out
}

// bringNews works off the needs of the paths that are news, and of the
// directories above them, unless they ask for much; it returns which it tried,
// and how many were done.
func (r *replica) bringNews(ctx context.Context) (tried []event.Path, did int, err error) {
	var needs []store.Need
	for _, p := range withAbove(r.news.take()) {
		n, ok, err := r.st.NeedAt(p)
		if err != nil {
			return nil, 0, err
		}
		if ok && n.Reason == "" && n.Bytes <= quickFile {
			needs, tried = append(needs, n), append(tried, p)
		}
	}
	if len(needs) == 0 {
		return nil, 0, nil
	}
	did, _, err = r.round(ctx, needs, freshLane, func(store.Need) bool { return true })
	return tried, did, err
}

// withAbove adds the directories above paths, each once and before what is below it.
func withAbove(paths []event.Path) []event.Path {
	all := slices.Clone(paths)
	for _, p := range paths {
		for d := p.Dir(); d != ""; d = d.Dir() {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, folder.ComparePaths)
	return slices.Compact(all)
}

// rush brings what is news before o goes on.
func (r *replica) rush(ctx context.Context, o *order) error {
	if o.fresh {
		return nil
	}
	tried, did, err := r.bringNews(ctx)
	o.overtaken(tried, did)
	return err
}

// stillNews takes back what did not begin to come because as much as may be is
// on its way.
func (r *replica) stillNews(steps []folder.Step) {
	var paths []event.Path
	for _, s := range steps {
		if !r.flights.on(s.Path) {
			paths = append(paths, s.Path)
		}
	}
	r.news.addPaths(paths)
}

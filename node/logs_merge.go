package node

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/bwaklog/meerkat/event"
)

// logCursor is a place in one log. What was read ahead is in the order of time.
type logCursor struct {
	head     event.Head
	from, at uint64
	ahead    []event.Leaf
}

// cursors is a heap: first the log whose next event is the oldest.
type cursors []*logCursor

func (c cursors) Len() int           { return len(c) }
func (c cursors) Less(i, j int) bool { return c[i].ahead[0].Event.HLC < c[j].ahead[0].Event.HLC }
func (c cursors) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)        { *c = append(*c, x.(*logCursor)) }

func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// eachInTime gives f the events behind seen that q selects, the oldest first,
// and moves seen on. It reads all logs side by side and holds a piece of each:
// a history may be longer than the memory. Only where a writer's clock went
// back, or its log forked, the order is that of the log.
func (r *replica) eachInTime(seen map[event.Writer]uint64, q logQuery, f func(event.Leaf) error) error {
	var all cursors
	for _, h := range r.st.Heads() {
		c := &logCursor{head: h, from: seen[h.Writer], at: seen[h.Writer]}
		if err := r.readAhead(c, q); err != nil {
			return err
		}
		if seen[h.Writer] = c.at; len(c.ahead) > 0 {
			all = append(all, c)
		}
	}
	heap.Init(&all)
	for len(all) > 0 {
		c := all[0]
		if err := f(c.ahead[0]); err != nil {
			return err
		}
		c.ahead = c.ahead[1:]
		if err := r.readAhead(c, q); err != nil {
			return err
		}
		if seen[c.head.Writer] = c.at; len(c.ahead) == 0 {
			heap.Pop(&all)
		} else {
			heap.Fix(&all, 0)
		}
	}
	return nil
}

// readAhead reads on until there is an event, or no more of the log.
func (r *replica) readAhead(c *logCursor, q logQuery) error {
	if len(c.ahead) > 0 {
		return nil
	}
	for len(c.ahead) == 0 {
		to, err := r.readOn(c.head, c.at, c.from, readMerge, q, func(l event.Leaf) { c.ahead = append(c.ahead, l) })
		if err != nil || to == c.at {
			return err
		}
		c.at = to
	}
	slices.SortStableFunc(c.ahead, func(a, b event.Leaf) int { return cmp.Compare(a.Event.HLC, b.Event.HLC) })
	return nil
}

package store

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/bwaklog/meerkat/chunker"
)

// Copies are up to max files and versions on this disk that, as the index knows, hold the whole content root. Offset and Size
// of the places are zero.
func (p *Pool) Copies(root chunker.ID, max int) (places []Place, err error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	err = p.filesOf(root[:], max, func(r ref) {
		places = append(places, Place{Path: r.path, Root: r.root, Version: r.kind == refVersion})
	})
	return places, wrap("read copies of "+root.String(), err)
}

// CopiesOf are the [Pool.Copies] of each root, in the order of roots. Of many it is much cheaper than one by one.
func (p *Pool) CopiesOf(roots []chunker.ID, max int) ([][]Place, error) {
	if err := p.db.gate.enter(); err != nil {
		return nil, err
	}
	defer p.db.gate.leave()
	table := p.space.table(nil, tabRef)
	it, err := p.db.pebble.NewIter(&pebble.IterOptions{LowerBound: table, UpperBound: after(table)})
	if err != nil {
		return nil, wrap("read copies", err)
	}
	places, err := copiesOf(it, table, roots, max)
	return places, wrap("read copies", errors.Join(err, it.Close()))
}

// copiesOf looks the roots up in the order in which each is near the one before.
func copiesOf(it *pebble.Iterator, table []byte, roots []chunker.ID, max int) ([][]Place, error) {
	order := make([]int, len(roots))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(roots[a][:], roots[b][:]) })
	out := make([][]Place, len(roots))
	var err error
	for _, i := range order {
		if out[i], err = copiesAt(it, slices.Concat(table, roots[i][:]), max); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// copiesAt are the places that rows with that prefix name.
func copiesAt(it *pebble.Iterator, prefix []byte, max int) (places []Place, err error) {
	for ok := it.SeekGE(prefix); ok && len(places) < max && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		r, err := refOf(it.Key())
		if err != nil {
			return nil, err
		}
		if r.kind != refFetch {
			places = append(places, Place{Path: r.path, Root: r.root, Version: r.kind == refVersion})
		}
	}
	return places, it.Error()
}

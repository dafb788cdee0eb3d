package store

import "github.com/bwaklog/meerkat/chunker"

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

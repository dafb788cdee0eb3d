package swarm

import (
	"cmp"
	"slices"

	"github.com/bwaklog/meerkat/chunker"
)

// ask is one id in a frame.
type ask struct {
	id   chunker.ID
	kind byte
}

// frames sorts what was picked by kind, because a frame asks for one kind only. It returns it in the order in which the
// replies will come.
func (p *plan) frames(picked []request) []ask {
	slices.SortStableFunc(picked, func(x, y request) int { return cmp.Compare(x.kind, y.kind) })
	asks := make([]ask, len(picked))
	for k, q := range picked {
		asks[k] = ask{p.pieces[q.piece].want.ID, q.kind}
	}
	return asks
}

// kindOf is how w is asked for. Whoever asks hashes what comes, so one hash is enough, until that was wrong once.
func (l *link) kindOf(w Want) byte {
	switch {
	case w.Block:
		return kindBlocks
	case l.doubted:
		return kindChunks
	}
	return kindPlain
}

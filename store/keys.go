package store

import (
	"bytes"
	"encoding/binary"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// The node's tables.
const (
	tabVersion = 'v'
	tabFact    = 'f' // in a pool as well
	tabPools   = 'n'
	tabPool    = 'p'
)

// A pool's tables.
const (
	tabWriter    = 'w'
	tabRecord    = 'r'
	tabSums      = 's'
	tabHead      = 'h'
	tabLog       = 'l'
	tabForked    = 'k'
	tabTree      = 't'
	tabIndex     = 'i'
	tabNeed      = 'd'
	tabUnsettled = 'u'
	tabIntent    = 'o'
	tabBlock     = 'b'
	tabChunk     = 'c'
	tabRef       = 'q'
	tabItem      = 'm'
	tabRange     = 'a'
	tabExtra     = 'x'
)

// space is the prefix of a pool's rows.
type space [5]byte

func newSpace(number uint32) space {
	s := space{tabPool}
	binary.BigEndian.PutUint32(s[1:], number)
	return s
}

// table appends the prefix of a table to b.
func (s space) table(b []byte, tab byte) []byte { return append(append(b, s[:]...), tab) }

// after is the first key behind all keys that start with prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// path appends the key of p in tab: the directory, NUL, the name. So the children of a directory are one range, and
// each directory stands before all that is below it.
func (s space) path(b []byte, tab byte, p event.Path) []byte {
	b = s.table(b, tab)
	i := lastSlash(p)
	if i < 0 {
		return append(append(b, 0), p...)
	}
	b = append(append(b, p[:i]...), 0)
	return append(b, p[i+1:]...)
}

// dir appends the prefix of the children of dir.
func (s space) dir(b []byte, tab byte, dir event.Path) []byte {
	return append(append(s.table(b, tab), dir...), 0)
}

// pathOf reads the path of a key made by path.
func pathOf(key []byte) (event.Path, error) {
	rest := key[len(space{})+1:]
	i := bytes.IndexByte(rest, 0)
	if i < 0 || i+1 == len(rest) {
		return "", corrupt("key of a path")
	}
	if i == 0 {
		return event.Path(rest[1:]), nil
	}
	b := bytes.Clone(rest)
	b[i] = '/'
	return event.Path(b), nil
}

func lastSlash(p event.Path) int {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return i
		}
	}
	return -1
}

func depth(p event.Path) int {
	n := 1
	for i := range len(p) {
		if p[i] == '/' {
			n++
		}
	}
	return n
}

func (s space) writer(n uint32) []byte {
	return binary.BigEndian.AppendUint32(s.table(nil, tabWriter), n)
}

func (s space) record(h event.Hash) []byte { return append(s.table(nil, tabRecord), h[:]...) }

func (s space) head(n uint32) []byte {
	return binary.BigEndian.AppendUint32(s.table(nil, tabHead), n)
}

func (s space) forked(n uint32) []byte {
	return binary.BigEndian.AppendUint32(s.table(nil, tabForked), n)
}

// The branches of a log.
const (
	trunk = 0
	fork  = 1
)

// seg is the key of a segment. It names the last seq, so that the first key at or behind logFrom(w, n) is the
// segment that holds n.
func (s space) seg(w uint32, last uint64, branch byte, h event.Hash) []byte {
	return append(append(s.logFrom(w, last), branch), h[:]...)
}

func (s space) logFrom(w uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(s.log(w), seq)
}

// log is the prefix of the segments of a writer.
func (s space) log(w uint32) []byte {
	return binary.BigEndian.AppendUint32(s.table(nil, tabLog), w)
}

const half = 16 // bytes of an id in keys where a clash costs a re-hash, not truth

func (s space) chunk(id, root chunker.ID) []byte {
	return append(append(s.table(nil, tabChunk), id[:half]...), root[:half]...)
}

func (s space) block(id, root chunker.ID) []byte {
	return append(append(s.table(nil, tabBlock), id[:]...), root[:half]...)
}

// What a reference comes from.
const (
	refFile    = 0 // a row of the index
	refVersion = 1 // a file below .meerkat/versions
	refFetch   = 2 // a manifest that came before its content, or that of an open intent at a path
)

// ref names one place, or one fetch, of the content root.
type ref struct {
	root chunker.ID
	kind byte
	path event.Path
}

func (s space) ref(r ref) []byte {
	b := append(s.table(nil, tabRef), r.root[:]...)
	return append(append(b, r.kind), r.path...)
}

func refOf(key []byte) (ref, error) {
	rest := key[len(space{})+1:]
	if len(rest) < len(chunker.ID{})+1 {
		return ref{}, corrupt("key of a reference")
	}
	n := len(chunker.ID{})
	return ref{chunker.ID(rest[:n]), rest[n], event.Path(rest[n+1:])}, nil
}

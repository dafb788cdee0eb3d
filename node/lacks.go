package node

import (
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/node/internal/pb"
	"github.com/bwaklog/meerkat/pubsub"
	"github.com/bwaklog/meerkat/store"
)

const (
	maxLacks  = 16
	maxReason = 32
	whole     = 1000 // permille
)

// lack is what a member said of one path that it wants.
type lack struct {
	Path     uint64 // pathKey of it: reports are bounded, paths are not
	Permille uint32 // how much of the content is there
	Reason   string
}

// pathKey names a path in a report.
func pathKey(p event.Path) uint64 {
	h := chunker.Sum([]byte(p))
	return binary.BigEndian.Uint64(h[:8])
}

// lacks are the first things that this node wants.
func (r *replica) lacks() []lack {
	var out []lack
	for _, n := range r.st.Needs("", 4*maxLacks) {
		if n.Reason == reasonIgnored {
			continue
		}
		reason := n.Reason[:min(len(n.Reason), maxReason)]
		if len(out) < maxLacks {
			out = append(out, lack{pathKey(n.Path), r.shareOf(n), reason})
		}
	}
	return out
}

// shareOf is how much of a need's content lies here, in permille.
func (r *replica) shareOf(n store.Need) uint32 {
	v, err := r.st.View(n.Path)
	if err != nil || v.Value.Kind != event.File {
		return 0
	}
	if p := r.partial(v.Value.Root); p != nil {
		return permille(len(p.Manifest().Chunks)-p.Left(), len(p.Manifest().Chunks))
	}
	r.care.mu.Lock()
	defer r.care.mu.Unlock()
	return r.care.shares[v.Value.Root]
}

// permille is never whole while something is missing.
func permille(have, all int) uint32 {
	if all <= 0 || have <= 0 {
		return 0
	}
	return uint32(min(have, all) * whole / all)
}

// keepShare remembers how much there is of a file that nobody is fetching now.
func (r *replica) keepShare(root chunker.ID, o *openFile) {
	all := len(o.Manifest().Chunks)
	left := o.Left()
	r.care.mu.Lock()
	defer r.care.mu.Unlock()
	if left == 0 {
		delete(r.care.shares, root)
		return
	}
	if r.care.shares == nil {
		r.care.shares = map[chunker.ID]uint32{}
	}
	r.care.shares[root] = permille(all-left, all)
}

func appendLacks(m *pb.Report, lacks []lack) {
	for _, l := range lacks[:min(len(lacks), maxLacks)] {
		m.Lacks = append(m.Lacks, &pb.Lack{Path: l.Path, Permille: l.Permille, Reason: l.Reason})
	}
}

func readLacks(m *pb.Report) ([]lack, error) {
	if len(m.Lacks) > maxLacks {
		return nil, fmt.Errorf("%w: %d paths", errReport, len(m.Lacks))
	}
	var out []lack
	for _, l := range m.Lacks {
		if len(l.Reason) > maxReason {
			return nil, fmt.Errorf("%w: out of bounds", errReport)
		}
		out = append(out, lack{l.Path, min(l.Permille, whole), l.Reason})
	}
	return out, nil
}

// lacksDiffer reports whether the lists say anything new, in steps of a tenth
// of a file.
func lacksDiffer(a, b []lack) bool {
	if len(a) != len(b) {
		return true
	}
	for i := range a {
		if a[i].Path != b[i].Path || a[i].Reason != b[i].Reason || a[i].Permille/100 != b[i].Permille/100 {
			return true
		}
	}
	return false
}

// lacking gives what the reporter said of p; known is false where it did not
// list all that it wants, and p is not listed.
func (r *report) lacking(p event.Path) (l lack, lacks, known bool) {
	key := pathKey(p)
	for _, l := range r.Lacks {
		if l.Path == key {
			return l, true, true
		}
	}
	return lack{}, false, int64(len(r.Lacks)) >= r.Wanted.Files
}

// tenth is how far a fetch is, in tenths of its bytes.
func (p *Progress) tenth() int64 {
	if p.TotalBytes <= 0 {
		return 0
	}
	return p.DoneBytes * 10 / p.TotalBytes
}

// gossiped is the most bytes of a report that gossip and repair carry.
const gossiped = pubsub.MaxReport

// fitReport signs rep, without what may be left out where it would be longer
// than gossip carries: lacks and half of the addresses, then the heads of
// writers that have been silent longest. rep itself is not changed.
func fitReport(key crypto.PrivKey, rep *report) ([]byte, error) {
	raw, err := sealReport(key, rep)
	if err != nil || len(raw) <= gossiped {
		return raw, err
	}
	short := *rep
	short.Lacks, short.Addrs = nil, rep.Addrs[:min(len(rep.Addrs), maxReportAddrs/2)]
	for n := min(len(rep.Heads), maxReportHeads); ; n /= 2 {
		short.keepNewest(n)
		raw, err = sealReport(key, &short)
		if err != nil || len(raw) <= gossiped || n == 0 {
			return raw, err
		}
	}
}

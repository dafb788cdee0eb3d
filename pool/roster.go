package pool

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
)

const digestDomain = "meerkat roster digest v1\n"

// Roster is a pool's membership: what a set of records adds up to. It is
// immutable and safe for concurrent use; whatever its methods return belongs
// to the caller, except Raw, Heads, Cut and Claim inside records.
type Roster struct {
	g        *graph
	pending  []Record
	rejected []Rejection
	digest   event.Hash

	name    string
	into    *Successor // nil: the pool goes on
	nodes   map[peer.ID]*history
	revoked map[TicketID]bool
}

// Member is a node of the pool. Epoch is the lowest epoch whose events count
// without regard to an earlier removal: a node that was removed, or could not
// write for a while, and is back writes on in an epoch not below it. It
// is 0 for who never was away.
type Member struct {
	ID    peer.ID
	Name  string
	Role  Role
	Since event.HLC
	Epoch uint64
}

// Rejection is a record that has no place in the roster, and why.
type Rejection struct {
	Hash event.Hash
	Err  error
}

// NewRoster folds records, in any order; equal ones count once. Without a
// genesis, or with two, there is no roster. Records that nobody had the right
// to make are kept out, see Rejected; those that build on records which
// are not there wait, see Pending.
func NewRoster(recs []Record) (*Roster, error) {
	in := make(map[event.Hash]Record, len(recs))
	founders := 0
	for _, r := range recs {
		if _, dup := in[r.Hash]; !dup && r.Act == Genesis {
			founders++
		}
		in[r.Hash] = r
	}
	if founders == 0 {
		return nil, ErrNoGenesis
	}
	if founders > 1 {
		return nil, fmt.Errorf("%w: %d first records", ErrForeign, founders)
	}
	return fold(in)
}

// With is the roster of the records of r and recs. A genesis of another pool
// among recs is rejected.
func (r *Roster) With(recs ...Record) (*Roster, error) {
	in := make(map[event.Hash]Record, len(r.g.entries)+len(recs))
	for i := range r.g.entries {
		in[r.g.entries[i].Hash] = r.g.entries[i].Record
	}
	for _, p := range r.pending {
		in[p.Hash] = p
	}
	var foreign []Rejection
	for _, rec := range recs {
		if rec.Pool != r.ID() {
			foreign = append(foreign, Rejection{rec.Hash, ErrForeign})
			continue
		}
		in[rec.Hash] = rec
	}
	out, err := fold(in)
	if err != nil {
		return nil, err
	}
	out.rejected = append(out.rejected, foreign...)
	return out, nil
}

func fold(in map[event.Hash]Record) (*Roster, error) {
	order, waiting := sortRecords(in)
	if len(order) > MaxRecords {
		return nil, fmt.Errorf("%w: more than %d", ErrFull, MaxRecords)
	}
	r := &Roster{g: newGraph(len(order)), nodes: map[peer.ID]*history{}, revoked: map[TicketID]bool{}}
	for _, e := range order {
		if err := r.g.add(e); err != nil {
			r.rejected = append(r.rejected, Rejection{e.Hash, err})
		}
	}
	slices.SortFunc(waiting, func(a, b Record) int { return a.Hash.Compare(b.Hash) })
	r.pending = waiting[:min(len(waiting), maxPending)]
	all := newSet(r.g.size)
	for i := range r.g.entries {
		all.add(i)
	}
	r.derive(r.g.settled(all))
	r.g.verdict = nil // only the fold needs it
	r.digest = r.sum()
	return r, nil
}

func (r *Roster) sum() event.Hash {
	hashes := make([]event.Hash, len(r.g.entries))
	for i := range hashes {
		hashes[i] = r.g.entries[i].Hash
	}
	slices.SortFunc(hashes, event.Hash.Compare)
	h := blake3.New()
	_, _ = h.WriteString(digestDomain) // never fails
	for _, x := range hashes {
		_, _ = h.Write(x[:])
	}
	return event.Hash(h.Sum(nil))
}

// ID names the pool.
func (r *Roster) ID() event.PoolID { return r.g.entries[0].Pool }

// Name is what people call the pool.
func (r *Roster) Name() string { return r.name }

// Secret is known to members only; topics and rendezvous names derive from it.
func (r *Roster) Secret() [32]byte { return r.g.entries[0].secret }

// Digest names the set of records: equal digests, equal rosters.
func (r *Roster) Digest() event.Hash { return r.digest }

// Records lists all records, each after those that it builds on, those without
// effect included. It never lists rejected and pending ones.
func (r *Roster) Records() []Record {
	out := make([]Record, len(r.g.entries))
	for i := range out {
		out[i] = r.g.entries[i].Record
	}
	return out
}

// Has reports whether the record is in the roster, with or without effect.
func (r *Roster) Has(h event.Hash) bool {
	_, ok := r.g.index[h]
	return ok
}

// Holds reports whether the record is in the roster and has effect.
func (r *Roster) Holds(h event.Hash) bool {
	i, ok := r.g.index[h]
	return ok && r.g.now[i] == holds
}

// Rejected lists what the fold that made r kept out for good.
func (r *Roster) Rejected() []Rejection { return slices.Clone(r.rejected) }

// Pending lists records that wait for one they build on. They are part of no
// digest; With takes them along.
func (r *Roster) Pending() []Record { return slices.Clone(r.pending) }

// Member is the node if it belongs to the pool now.
func (r *Roster) Member(id peer.ID) (Member, bool) {
	h := r.nodes[id]
	if h == nil || h.removed {
		return Member{}, false
	}
	return h.Member, true
}

// Members lists who belongs to the pool now, the longest first.
func (r *Roster) Members() []Member {
	var out []Member
	for _, h := range r.nodes {
		if !h.removed {
			out = append(out, h.Member)
		}
	}
	slices.SortFunc(out, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Removed is the node if it was a member once, and is none now.
func (r *Roster) Removed(id peer.ID) (Member, bool) {
	h := r.nodes[id]
	if h == nil || !h.removed {
		return Member{}, false
	}
	return h.Member, true
}

// heads are the records that no other one builds on, ascending; of too many
// the last in the order.
func (r *Roster) heads() [][]byte {
	free := make(map[event.Hash]bool, len(r.g.entries))
	for i := range r.g.entries {
		free[r.g.entries[i].Hash] = true
		for _, h := range r.g.entries[i].Heads {
			delete(free, h)
		}
	}
	last := slices.SortedFunc(maps.Keys(free), func(a, b event.Hash) int {
		return cmp.Compare(r.g.index[b], r.g.index[a])
	})
	var out [][]byte
	for _, h := range last[:min(len(last), maxHeads)] {
		out = append(out, h[:])
	}
	slices.SortFunc(out, bytes.Compare)
	return out
}

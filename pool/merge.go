package pool

import (
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pool/internal/pb"
)

// Successor is the pool as which another one goes on. Addrs are multiaddrs
// where its members were met, at most MaxAddrs; they are hints.
type Successor struct {
	ID    event.PoolID
	Name  string
	Addrs []string
}

// Merge says to all members that the pool goes on as into; key is an admin's.
// Of several such records the first in the roster's order counts. ErrRole,
// ErrName, and ErrForeign where into is this pool.
func (r *Roster) Merge(key crypto.PrivKey, into Successor, t event.HLC) (Record, error) {
	act := &pb.Merge{Into: into.ID[:], PoolName: into.Name}
	for _, s := range into.Addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return Record{}, fmt.Errorf("merge: address hint: %w", err)
		}
		act.Addrs = append(act.Addrs, a.Bytes())
	}
	if into.ID == r.ID() {
		return Record{}, fmt.Errorf("merge: into itself: %w", ErrForeign)
	}
	if err := CheckName(into.Name); err != nil {
		return Record{}, fmt.Errorf("merge: %w", err)
	}
	rec, err := r.seal(key, t, &pb.Body{Act: &pb.Body_Merge{Merge: act}})
	if err != nil {
		return Record{}, fmt.Errorf("merge into %s: %w", into.Name, err)
	}
	return rec, nil
}

// Merged is the pool as which this one goes on, if it was merged into another.
func (r *Roster) Merged() (Successor, bool) {
	if r.into == nil {
		return Successor{}, false
	}
	out := *r.into
	out.Addrs = slices.Clone(out.Addrs)
	return out, true
}

func (r Record) merge(a *pb.Merge) (Record, error) {
	r.Act, r.Name = Merge, a.GetPoolName()
	if err := CheckName(r.Name); err != nil {
		return Record{}, err
	}
	if len(a.GetInto()) != len(event.PoolID{}) || event.PoolID(a.GetInto()) == r.Pool {
		return Record{}, fmt.Errorf("%w: merged into no other pool", ErrRecord)
	}
	if len(a.GetAddrs()) > MaxAddrs {
		return Record{}, fmt.Errorf("%w: %d addresses", ErrRecord, len(a.GetAddrs()))
	}
	r.Into = Successor{ID: event.PoolID(a.GetInto()), Name: r.Name}
	for _, b := range a.GetAddrs() {
		hint, err := ma.NewMultiaddrBytes(b)
		if err != nil || len(b) > maxAddr {
			return Record{}, fmt.Errorf("%w: address hint", ErrRecord)
		}
		r.Into.Addrs = append(r.Into.Addrs, hint.String())
	}
	return r, nil
}

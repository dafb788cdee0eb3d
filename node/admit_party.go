package node

import (
	"bytes"
	"fmt"
	"time"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/node/internal/pb"
	"github.com/bwaklog/meerkat/pool"
)

// partyOf are the asker and its guests. Whoever holds a ticket's secret may
// show claims of it for others; all must be of the one ticket.
func partyOf(own pool.Claim, ask *pb.Ask) ([]pool.Guest, error) {
	party := []pool.Guest{{Claim: own, Name: ask.Name}}
	if len(ask.Guests) > maxGuests {
		return nil, fmt.Errorf("%w: %d guests", pool.ErrTicketTerms, len(ask.Guests))
	}
	for _, g := range ask.Guests {
		c, err := pool.ParseClaim(g.Claim)
		if err != nil {
			return nil, err
		}
		most := pool.Role(min(g.Role, uint32(pool.Admin)+1))
		if c.Ticket != own.Ticket || c.Pool != own.Pool || !most.Valid() {
			return nil, fmt.Errorf("%w: a guest by another ticket", pool.ErrTicketForeign)
		}
		party = append(party, pool.Guest{Claim: c, Name: g.Name, Most: most, Via: own.Node})
	}
	return party, nil
}

// shut says why a pool takes nobody in: it was merged into another one, or
// is about to be merged into the very pool that wants to come here. Of two
// that want each other the one with the lower id goes.
func (a *Admission) shut(ro *pool.Roster, ask *pb.Ask) string {
	id := ro.ID()
	if _, merged := ro.Merged(); merged {
		return "merged"
	}
	if len(ask.Merging) == len(event.PoolID{}) && a.conf.Merging(id) && bytes.Compare(id[:], ask.Merging) < 0 {
		return "busy"
	}
	return ""
}

// honourAll makes the records that let the whole party in, or none; who is a
// member needs none.
func (a *Admission) honourAll(ro *pool.Roster, party []pool.Guest) ([]pool.Record, error) {
	var out []pool.Record
	for _, g := range party {
		if _, ok := ro.Member(g.Claim.Node); ok {
			continue
		}
		rec, err := ro.Honour(a.conf.Key, g, time.Now(), a.conf.Clock.Now())
		if err != nil {
			return nil, err
		}
		if ro, err = ro.With(rec); err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

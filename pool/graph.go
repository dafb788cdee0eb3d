package pool

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/event"
)

// entry is a record in its place in the graph.
type entry struct {
	Record
	depth int
	past  set   // what its author had seen, whole
	foes  []int // concurrent records that void it if they hold
}

// graph is a set of records, closed under heads, in the order
// (depth, hlc, hash), which every record's past precedes it in. An entry is
// let in if its author had the right to it in the light of its past alone; that
// never changes. Whether it holds in the light of all is for settle.
type graph struct {
	entries []entry
	index   map[event.Hash]int
	about   map[peer.ID][]int  // Genesis, Admit, SetRole, Remove of a node, in order
	claims  map[TicketID][]int // admissions by a ticket, in order
	revokes map[TicketID][]int
	cuts    []int // Remove, SetRole, Revoke: what may void others
	size    int   // of each set

	now     []mark // the verdict over all entries; nil when it has to be found
	verdict map[string][]mark
}

func newGraph(size int) *graph {
	return &graph{
		index: map[event.Hash]int{}, about: map[peer.ID][]int{}, claims: map[TicketID][]int{},
		revokes: map[TicketID][]int{}, size: size, verdict: map[string][]mark{}, now: []mark{},
	}
}

// sortRecords puts records in the graph's order and gives each its depth.
// Those that build on a record which is not there come back as waiting.
func sortRecords(in map[event.Hash]Record) (order []entry, waiting []Record) {
	depth := make(map[event.Hash]int, len(in))
	for h, r := range in {
		if d := findDepth(in, depth, h); d > 0 {
			order = append(order, entry{Record: r, depth: d})
		} else {
			waiting = append(waiting, r)
		}
	}
	slices.SortFunc(order, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.HLC, b.HLC), a.Hash.Compare(b.Hash))
	})
	return order, waiting
}

// findDepth is one more than the greatest depth of the heads, 1 for a genesis,
// and -1 where a record is missing. Hashes allow no cycle.
func findDepth(in map[event.Hash]Record, depth map[event.Hash]int, h event.Hash) int {
	if d := depth[h]; d != 0 {
		return d
	}
	r, ok := in[h]
	if !ok {
		return -1
	}
	most := 0
	for _, p := range r.Heads {
		d := findDepth(in, depth, p)
		if d < 0 {
			most = -2
			break
		}
		most = max(most, d)
	}
	depth[h] = most + 1
	return most + 1
}

// add lets e in, or says why it never counts. Entries come in order.
func (g *graph) add(e entry) error {
	if err := g.place(&e); err != nil {
		return err
	}
	marks := g.settled(e.past)
	if err := g.lawful(&e, marks); err != nil {
		return err
	}
	i := len(g.entries)
	linear := e.past.count() == i
	g.entries = append(g.entries, e)
	g.list(i)
	if !linear {
		g.now = nil
		g.foes(i)
	} else if g.now != nil {
		// Everything is in e's past and lawful says that it holds there.
		g.now = append(g.now, holds)
	}
	return nil
}

// place finds e's past.
func (g *graph) place(e *entry) error {
	e.past = newSet(g.size)
	for _, h := range e.Heads {
		i, ok := g.index[h]
		if !ok {
			return ErrParent
		}
		e.past.join(g.entries[i].past)
		e.past.add(i)
	}
	if e.Act != Genesis && e.Pool != g.entries[0].Pool || e.Act == Genesis && len(g.entries) > 0 {
		return ErrForeign
	}
	return nil
}

func (g *graph) list(i int) {
	e := &g.entries[i]
	g.index[e.Hash] = i
	switch e.Act {
	case Genesis, Admit, SetRole, Remove:
		g.about[e.Node] = append(g.about[e.Node], i)
	case Revoke:
		g.revokes[e.Ticket] = append(g.revokes[e.Ticket], i)
	}
	if e.Claim != nil {
		g.claims[e.Claim.Ticket] = append(g.claims[e.Claim.Ticket], i)
	}
	if e.Act == Remove || e.Act == SetRole || e.Act == Revoke {
		g.cuts = append(g.cuts, i)
	}
}

// foes notes who voids whom among i and the entries concurrent with it.
func (g *graph) foes(i int) {
	e := &g.entries[i]
	for _, c := range g.cuts {
		if c != i && !e.past.has(c) && g.entries[c].voids(e) {
			e.foes = append(e.foes, c)
		}
	}
	if e.Act != Remove && e.Act != SetRole && e.Act != Revoke {
		return
	}
	for j := range i {
		if o := &g.entries[j]; !e.past.has(j) && e.voids(o) {
			o.foes = append(o.foes, i)
		}
	}
}

// voids reports whether e, where it holds, voids the concurrent o.
func (e *entry) voids(o *entry) bool {
	switch e.Act {
	case Revoke:
		return o.Claim != nil && o.Claim.Ticket == e.Ticket
	case Remove, SetRole:
		role := e.Role // none after Remove
		return o.Author == e.Node && !o.allowed(role) ||
			o.Claim != nil && o.Claim.Issuer == e.Node && !role.Admin() ||
			e.Act == Remove && o.Node == e.Node && (o.Act == Admit || o.Act == SetRole)
	}
	return false
}

// allowed reports whether an author of this role has the right to the act.
func (r *Record) allowed(role Role) bool {
	switch {
	case r.Act == Genesis:
		return true
	case r.Claim != nil:
		return role.Admits()
	case (r.Act == Remove || r.Act == Rename) && r.Node == r.Author:
		return role.Valid()
	}
	return role.Admin()
}

// lawful says why e has no place in any roster, given the marks of its past.
func (g *graph) lawful(e *entry, marks []mark) error {
	if err := g.authority(e, e.past, marks); err != nil {
		return fmt.Errorf("%s by %s: %w", e.Act, e.Author, err)
	}
	if e.Node == "" || e.Act == Genesis {
		return nil
	}
	member := g.roleIn(e.Node, e.past, marks) != 0
	switch {
	case e.Act == Admit && member:
		return ErrAlreadyMember
	case e.Act != Admit && !member:
		return fmt.Errorf("%s of %s: %w", e.Act, e.Node, ErrNotMember)
	case e.Claim != nil:
		return g.ticketFree(e, marks)
	}
	return nil
}

// authority says why the author, or the issuer of the ticket, has not the
// right to e as things stand in its past.
func (g *graph) authority(e *entry, past set, marks []mark) error {
	if e.Act == Genesis {
		return nil
	}
	role := g.roleIn(e.Author, past, marks)
	if role == 0 {
		return ErrNotMember
	}
	if !e.allowed(role) {
		return ErrRole
	}
	if e.Claim == nil {
		return nil
	}
	if !g.roleIn(e.Claim.Issuer, past, marks).Admin() {
		return fmt.Errorf("%w: its issuer is no admin", ErrTicketForeign)
	}
	if e.HLC.Time().After(e.Claim.Expires) {
		return ErrTicketExpired
	}
	for _, i := range g.revokes[e.Claim.Ticket] {
		if past.has(i) && marks[i] == holds {
			return ErrTicketRevoked
		}
	}
	return nil
}

// ticketFree says whether e's ticket had a use left in e's past. A node uses
// one ticket once: a removed one does not come back by it.
func (g *graph) ticketFree(e *entry, marks []mark) error {
	users := map[peer.ID]bool{}
	for _, i := range g.claims[e.Claim.Ticket] {
		if !e.past.has(i) || marks[i] != holds {
			continue
		}
		users[g.entries[i].user()] = true
		if g.entries[i].Node == e.Node {
			return ErrTicketUsed
		}
	}
	if !users[e.user()] && len(users) >= e.Claim.Uses {
		return ErrTicketUsed
	}
	return nil
}

// user is whose use of a ticket an admission is: a node's own, or that of the
// member who brought it along with its pool.
func (r *Record) user() peer.ID {
	if r.Via != "" {
		return r.Via
	}
	return r.Node
}

// roleIn is the role of id after those entries of past that hold.
func (g *graph) roleIn(id peer.ID, past set, marks []mark) Role {
	var role Role
	for _, i := range g.about[id] {
		if !past.has(i) || marks[i] != holds {
			continue
		}
		switch e := &g.entries[i]; {
		case e.Act == SetRole && role == 0: // of no member: nothing to change
		default:
			role = e.Role // none after Remove
		}
	}
	return role
}

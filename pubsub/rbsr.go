package pubsub

import (
	"cmp"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/bwaklog/meerkat/event"
)

const (
	leafItems = 32          // a range with so many items is shown item by item
	maxItems  = 256         // items shown of a range that cannot be parted
	maxParts  = 1024        // ranges in one turn
	maxKeys   = 4096        // paths that one session brings together, each way
	maxProofs = 1 << 20     // bytes of events in one turn
	maxTurns  = 24          // twelve rounds
	turnSpace = 4 << 20     // bytes of one turn that come from others
	listMost  = 2 * maxKeys // items of our own that one comparison looks at
)

// side is one of the two that reconcile: it takes what the other says, and gathers what to say to it. It knows nothing of
// streams. Ranges with other fingerprints are parted until they are leaves, and leaves give the keys of the paths at which the
// two differ: of these each shows the other the events that it has.
type side struct {
	set   union
	nonce [nonceSize]byte

	parts []part
	wants []event.Key
	give  []event.Key
	keys  map[event.Key]bool // in give now or before
	asked map[event.Key]bool // in wants now or before
	cut   bool               // more differs than went into this session
}

func newSide(l Log, nonce [nonceSize]byte) *side {
	return &side{set: newUnion(l), nonce: nonce, keys: map[event.Key]bool{}, asked: map[event.Key]bool{}}
}

// sum is the fingerprint of a part.
func (s *side) sum(sum event.Sum) print { return printOf(sum, s.nonce) }

// mark is how an item is shown: hashed with the nonce, so that no two can be prepared that look alike.
func (s *side) mark(i event.Item) mark {
	h := blake3.Sum256(append(s.nonce[:], i.Hash[:]...))
	return mark{i.Key, print(h[:])}
}

// prints are the fingerprints of the parts of r.
func (s *side) prints(r event.Range) (ps [event.FanOut]print, err error) {
	sums, err := s.set.sums(r)
	for i := range sums {
		ps[i] = s.sum(sums[i])
	}
	return ps, err
}

// heed compares what the other says of a range with what is here.
func (s *side) heed(p part) error {
	if p.leaf {
		return s.list(p)
	}
	sums, err := s.set.sums(p.r)
	if err != nil {
		return err
	}
	for i, mine := range sums {
		if s.sum(mine) == p.prints[i] {
			continue
		}
		if err := s.show(p.r.Part(i), mine.Count()); err != nil {
			return err
		}
	}
	return nil
}

// show says what is here of r.
func (s *side) show(r event.Range, count uint64) error {
	if len(s.parts) >= maxParts {
		s.cut = true
		return nil
	}
	p := part{r: r, leaf: count <= leafItems || r.Depth == event.MaxDepth}
	if !p.leaf {
		var err error
		p.prints, err = s.prints(r)
		s.parts = append(s.parts, p)
		return err
	}
	items, err := s.set.items(r, maxItems)
	for _, i := range items {
		p.items = append(p.items, s.mark(i))
	}
	s.parts = append(s.parts, p)
	return err
}

// list compares the other's items with those here: what only we have is shown, what only it has is asked for.
func (s *side) list(p part) error {
	theirs := make(map[mark]bool, len(p.items))
	for _, m := range p.items {
		theirs[m] = true
	}
	mine, err := s.set.items(p.r, listMost)
	if err != nil {
		return err
	}
	for _, i := range mine {
		if m := s.mark(i); theirs[m] {
			delete(theirs, m)
		} else {
			s.offer(i.Key)
		}
	}
	for _, m := range p.items {
		if theirs[m] {
			s.want(m.key)
		}
	}
	return nil
}

// offer puts a key among those whose events are shown.
func (s *side) offer(k event.Key) {
	if s.keys[k] {
		return
	}
	if len(s.keys) >= maxKeys {
		s.cut = true
		return
	}
	s.keys[k] = true
	s.give = append(s.give, k)
}

func (s *side) want(k event.Key) {
	if s.asked[k] {
		return
	}
	if len(s.asked) >= maxKeys {
		s.cut = true
		return
	}
	s.asked[k] = true
	s.wants = append(s.wants, k)
}

// speak is what is to be said now, and forgets it.
func (s *side) speak() (turn, error) {
	t := turn{parts: s.parts, wants: s.wants}
	evs, left, err := s.set.log.Evidence(s.give, maxProofs)
	if err != nil {
		return turn{}, err
	}
	t.events, t.records = evs, s.set.records(s.give)
	s.cut = s.cut || len(left) > 0
	s.parts, s.wants, s.give = nil, nil, nil
	return t, nil
}

// union is the set of states and, in the same order, the roster's records as they were when the session began.
type union struct {
	log    Log
	roster []event.Item
	hashes []event.Hash // of roster
}

func newUnion(l Log) union {
	u := union{log: l}
	for _, h := range l.RosterHashes() {
		u.roster = append(u.roster, event.RecordItem(h))
		u.hashes = append(u.hashes, h)
	}
	return u
}

func (u union) sums(r event.Range) ([event.FanOut]event.Sum, error) {
	sums, err := u.log.StateSums(r)
	for _, i := range u.roster {
		if !r.Has(i.Key) {
			continue
		}
		n := 0
		if r.Depth < event.MaxDepth {
			n = r.PartOf(i.Key)
		}
		sums[n].Add(i.Hash)
	}
	return sums, err
}

func (u union) items(r event.Range, max int) ([]event.Item, error) {
	items, err := u.log.StateItems(r, max)
	for _, i := range u.roster {
		if r.Has(i.Key) {
			items = append(items, i)
		}
	}
	slices.SortStableFunc(items, func(a, b event.Item) int { return cmp.Compare(a.Key, b.Key) })
	return items[:min(len(items), max)], err
}

// records are those whose items have one of the keys.
func (u union) records(keys []event.Key) [][]byte {
	var hs []event.Hash
	for n, i := range u.roster {
		if slices.Contains(keys, i.Key) {
			hs = append(hs, u.hashes[n])
		}
	}
	if hs == nil {
		return nil
	}
	return u.log.RosterRecords(hs)
}

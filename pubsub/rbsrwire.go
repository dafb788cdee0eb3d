package pubsub

import (
	"encoding/binary"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub/internal/pb"
)

const (
	maxStateFrame = event.MaxEvent + 4<<10 // a frame of /meerkat/rbsr/1: 64 KiB, and the proof of an event that has as many
	roomyFrame    = 60 << 10               // what is put into one, where it can be parted
	keySize       = 8
	markSize      = keySize + printSize
	partSize      = 32 // of what a part takes beside its body, and an event beside its bytes
)

type print = [printSize]byte

// What goes over a stream of /meerkat/rbsr/1, beside refuse.
type (
	opening struct {
		pool   event.PoolID
		nonce  [nonceSize]byte
		prints [event.FanOut]print
	}
	turn struct {
		parts   []part
		wants   []event.Key
		events  []event.Proved
		records [][]byte
		more    bool // the turn goes on in the next frame
	}
	// part says what lies in a range: its items where it is a leaf, else the fingerprints of its parts.
	part struct {
		r      event.Range
		leaf   bool
		prints [event.FanOut]print
		items  []mark
	}
	// mark is an item as it is shown.
	mark struct {
		key   event.Key
		print print
	}
)

// empty says that there is nothing to answer.
func (t turn) empty() bool {
	return len(t.parts) == 0 && len(t.wants) == 0 && len(t.events) == 0 && len(t.records) == 0
}

// frames parts t so that each goes into a frame; the last one alone does not say more. There is always one.
func (t turn) frames() []turn {
	out, size := []turn{{}}, 0
	next := func(n int) *turn {
		last := &out[len(out)-1]
		if size += n; size > roomyFrame && !last.empty() {
			last.more = true
			out, size = append(out, turn{}), n
			last = &out[len(out)-1]
		}
		return last
	}
	for _, p := range t.parts {
		f := next(p.size())
		f.parts = append(f.parts, p)
	}
	for _, k := range t.wants {
		f := next(keySize)
		f.wants = append(f.wants, k)
	}
	for _, e := range t.events {
		f := next(len(e.Raw) + len(e.Proof) + partSize)
		f.events = append(f.events, e)
	}
	for _, raw := range t.records {
		f := next(len(raw) + partSize)
		f.records = append(f.records, raw)
	}
	return out
}

func (p part) size() int {
	if p.leaf {
		return partSize + markSize*len(p.items)
	}
	return partSize + printSize*event.FanOut
}

func openOut(m opening) *pb.Open {
	return &pb.Open{Pool: m.pool[:], Nonce: m.nonce[:], Prints: joinPrints(m.prints)}
}

func openIn(m *pb.Open) (any, error) {
	var o opening
	if !fill(o.pool[:], m.GetPool()) || !fill(o.nonce[:], m.GetNonce()) || !cutPrints(&o.prints, m.GetPrints()) {
		return nil, bad("opening with a field of the wrong length")
	}
	return o, nil
}

func turnOut(m turn) *pb.Turn {
	t := &pb.Turn{Records: m.records, More: m.more}
	for _, p := range m.parts {
		t.Parts = append(t.Parts, partOut(p))
	}
	for _, k := range m.wants {
		t.Wants = binary.BigEndian.AppendUint64(t.Wants, uint64(k))
	}
	for _, e := range m.events {
		t.Events = append(t.Events, &pb.Proved{Raw: e.Raw, Proof: e.Proof})
	}
	return t
}

func turnIn(m *pb.Turn) (any, error) {
	t := turn{records: m.GetRecords(), more: m.GetMore()}
	for _, p := range m.GetParts() {
		q, err := partIn(p)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, q)
	}
	wants := m.GetWants()
	if len(wants)%keySize != 0 {
		return nil, bad("%d bytes of keys", len(wants))
	}
	for ; len(wants) > 0; wants = wants[keySize:] {
		t.wants = append(t.wants, event.Key(binary.BigEndian.Uint64(wants)))
	}
	for _, e := range m.GetEvents() {
		t.events = append(t.events, event.Proved{Raw: e.GetRaw(), Proof: e.GetProof()})
	}
	return t, nil
}

func partOut(p part) *pb.Part {
	m := &pb.Part{Prefix: uint64(p.r.Prefix), Depth: uint32(p.r.Depth)}
	if !p.leaf {
		m.Body = &pb.Part_Prints{Prints: joinPrints(p.prints)}
		return m
	}
	items := make([]byte, 0, markSize*len(p.items))
	for _, i := range p.items {
		items = append(binary.BigEndian.AppendUint64(items, uint64(i.key)), i.print[:]...)
	}
	m.Body = &pb.Part_Items{Items: items}
	return m
}

func partIn(m *pb.Part) (part, error) {
	p := part{r: event.Range{Prefix: event.Key(m.GetPrefix()), Depth: int(min(m.GetDepth(), event.MaxDepth+1))}}
	if !p.r.Valid() {
		return part{}, bad("range %x of depth %d", m.GetPrefix(), m.GetDepth())
	}
	switch b := m.GetBody().(type) {
	case *pb.Part_Prints:
		if !cutPrints(&p.prints, b.Prints) || p.r.Depth == event.MaxDepth {
			return part{}, bad("%d bytes of fingerprints at depth %d", len(b.Prints), p.r.Depth)
		}
		return p, nil
	case *pb.Part_Items:
		p.leaf = true
		return p, p.cutItems(b.Items)
	}
	return part{}, bad("range without a body")
}

func (p *part) cutItems(b []byte) error {
	if len(b)%markSize != 0 || len(b)/markSize > maxItems {
		return bad("%d bytes of items", len(b))
	}
	for ; len(b) > 0; b = b[markSize:] {
		m := mark{key: event.Key(binary.BigEndian.Uint64(b)), print: print(b[keySize:markSize])}
		if !p.r.Has(m.key) {
			return bad("item %x outside of its range", uint64(m.key))
		}
		p.items = append(p.items, m)
	}
	return nil
}

func joinPrints(ps [event.FanOut]print) []byte {
	b := make([]byte, 0, printSize*len(ps))
	for _, p := range ps {
		b = append(b, p[:]...)
	}
	return b
}

func cutPrints(dst *[event.FanOut]print, b []byte) bool {
	if len(b) != printSize*len(dst) {
		return false
	}
	for i := range dst {
		copy(dst[i][:], b[printSize*i:])
	}
	return true
}

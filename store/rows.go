package store

import (
	"encoding/binary"
	"slices"

	"github.com/bwaklog/meerkat/event"
)

// entry is a row of the tree. A directory that only its children imply has a row without a state.
type entry struct {
	state     event.State
	kids      uint64 // live children
	unsettled bool   // there is a row in the table of that name
	needs     bool   // likewise

	// collected: the row holds no state, only dots, those of the events that live in it; see Pool.Collect.
	collected bool
	dots      []event.Dot
}

const (
	entryUnsettled = 1 << iota
	entryNeed
	entryKids
	entryState
	entrySingle    // one live event, no witness, and covered is its ctx: only the event is stored
	entryCollected // a tombstone that is no part of the set of states: only its dots are stored
	entryFlags     = entryCollected<<1 - 1
)

func (e entry) known() bool { return len(e.state.Live) > 0 || len(e.state.Covered) > 0 }
func (e entry) empty() bool {
	return !e.known() && e.kids == 0 && !e.unsettled && !e.needs && !e.collected
}

func (e entry) view() event.View { return e.state.View(e.kids > 0) }

func (e entry) flags() byte {
	if e.collected {
		return entryCollected
	}
	var f byte
	if e.unsettled {
		f |= entryUnsettled
	}
	if e.needs {
		f |= entryNeed
	}
	if e.kids > 0 {
		f |= entryKids
	}
	if e.known() {
		f |= entryState
	}
	if single(e.state) {
		f |= entrySingle
	}
	return f
}

func single(s event.State) bool {
	return len(s.Live) == 1 && len(s.Witness) == 0 && s.Covered.Equal(s.Live[0].Event.Ctx)
}

func (ws *writers) appendEntry(b []byte, e entry) []byte {
	f := e.flags()
	b = append(b, f)
	if f&entryKids != 0 {
		b = binary.AppendUvarint(b, e.kids)
	}
	switch {
	case f&entryCollected != 0:
		return ws.appendDots(b, e.state.Live)
	case f&entrySingle != 0:
		return append(ws.appendDot(b, e.state.Live[0].Dot), e.state.Live[0].Raw...)
	case f&entryState != 0:
		b = ws.appendLeaves(b, e.state.Live)
		b = ws.appendLeaves(b, e.state.Witness)
		b = ws.appendVector(b, e.state.Covered)
	}
	return b
}

func (ws *writers) appendDots(b []byte, ls []event.Leaf) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for _, l := range ls {
		b = ws.appendDot(b, l.Dot)
	}
	return b
}

func (ws *writers) readDots(r *reader, e *entry) {
	e.collected = true
	for range r.count(2) {
		e.dots = append(e.dots, ws.readDot(r))
	}
	if len(e.dots) == 0 {
		r.fail()
	}
}

func (ws *writers) appendLeaves(b []byte, ls []event.Leaf) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for _, l := range ls {
		b = appendBytes(ws.appendDot(b, l.Dot), l.Raw)
	}
	return b
}

// readEntry takes row apart. The entry's leaves keep pieces of row.
func (ws *writers) readEntry(row []byte) (entry, error) {
	r := &reader{b: row}
	f := r.byte()
	e := entry{unsettled: f&entryUnsettled != 0, needs: f&entryNeed != 0}
	if f&^entryFlags != 0 || f&entryCollected != 0 && f != entryCollected {
		r.fail()
	}
	if f&entryKids != 0 {
		e.kids = r.uvarint()
	}
	var err error
	switch {
	case f&entryCollected != 0:
		ws.readDots(r, &e)
	case f&entrySingle != 0:
		err = ws.readSingle(r, &e)
	case f&entryState != 0:
		err = ws.readState(r, &e)
	}
	if err != nil {
		return entry{}, err
	}
	return e, r.end("row of the tree")
}

func (ws *writers) readSingle(r *reader, e *entry) error {
	dot := ws.readDot(r)
	l, err := openLeaf(r, dot, r.take(len(r.b)))
	if err != nil {
		return err
	}
	e.state = event.State{Live: []event.Leaf{l}, Covered: l.Event.Ctx}
	return nil
}

func (ws *writers) readState(r *reader, e *entry) (err error) {
	if e.state.Live, err = ws.readLeaves(r); err != nil {
		return err
	}
	if e.state.Witness, err = ws.readLeaves(r); err != nil {
		return err
	}
	e.state.Covered = ws.readVector(r)
	return nil
}

func (ws *writers) readLeaves(r *reader) ([]event.Leaf, error) {
	n := r.count(3)
	if n == 0 {
		return nil, nil
	}
	ls := make([]event.Leaf, 0, n)
	for range n {
		dot := ws.readDot(r)
		l, err := openLeaf(r, dot, r.bytes())
		if err != nil {
			return nil, err
		}
		ls = append(ls, l)
	}
	return ls, nil
}

func openLeaf(r *reader, d event.Dot, raw []byte) (event.Leaf, error) {
	if r.bad {
		return event.Leaf{}, corrupt("row of the tree")
	}
	l, err := event.OpenLeaf(d, raw)
	if err != nil {
		return event.Leaf{}, corrupt("row of the tree: " + err.Error())
	}
	return l, nil
}

// The first byte of a row of the index: the kind, and what needs not be said.
const (
	haveKind    = 3 // two bits
	haveRacy    = 1 << 2
	haveCurrent = 1 << 3 // base, dots, former roots and chunks are those of the tree's view
	haveNoStat  = 1 << 4
	haveMTime   = 1 << 5 // of the value is the stat's
	haveMode    = 1 << 6 // likewise
	haveSize    = 1 << 7 // likewise
)

func haveFlags(h Have, current bool) byte {
	v := h.Known.Value
	f := byte(v.Kind) & haveKind
	if h.Racy {
		f |= haveRacy
	}
	if current {
		f |= haveCurrent
	}
	if h.Stat == (Stat{}) {
		f |= haveNoStat
	}
	if v.MTime == h.Stat.MTime {
		f |= haveMTime
	}
	if uint32(v.Mode) == h.Stat.Mode&0o777 {
		f |= haveMode
	}
	if v.Size == h.Stat.Size {
		f |= haveSize
	}
	return f
}

// appendHave writes h; current says that the rest of it is found in the tree.
func (ws *writers) appendHave(b []byte, h Have, current bool) []byte {
	f, v := haveFlags(h, current), h.Known.Value
	b = append(b, f)
	if f&haveNoStat == 0 {
		b = appendStat(b, h.Stat)
	}
	switch v.Kind {
	case event.File:
		b = append(append(b, byte(v.Class)), v.Root[:]...)
	case event.Link:
		b = appendBytes(b, v.Target)
	}
	if f&haveSize == 0 {
		b = binary.AppendUvarint(b, zigzag(v.Size))
	}
	if f&haveMode == 0 {
		b = binary.AppendUvarint(b, uint64(v.Mode))
	}
	if f&haveMTime == 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(v.MTime))
	}
	if current {
		return b
	}
	return ws.appendKnown(b, h.Known)
}

func (ws *writers) appendKnown(b []byte, k event.Known) []byte {
	b = ws.appendVector(b, k.Base)
	b = ws.appendDot(b, k.CDot)
	b = ws.appendDot(b, k.MDot)
	b = binary.AppendUvarint(b, uint64(len(k.Prev)))
	for _, id := range k.Prev {
		b = append(b, id[:]...)
	}
	return appendChunks(b, k.Value.Chunks)
}

func appendStat(b []byte, s Stat) []byte {
	b = binary.AppendUvarint(b, s.Dev)
	b = binary.AppendUvarint(b, s.Ino)
	b = binary.AppendUvarint(b, zigzag(s.Size))
	b = binary.AppendUvarint(b, uint64(s.Mode))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.MTime))
	return binary.LittleEndian.AppendUint64(b, uint64(s.CTime))
}

func (r *reader) stat() Stat {
	s := Stat{Dev: r.uvarint(), Ino: r.uvarint(), Size: unzigzag(r.uvarint())}
	m := r.uvarint()
	if m > 0xffff_ffff {
		r.fail()
	}
	s.Mode, s.MTime, s.CTime = uint32(m), int64(r.fixed64()), int64(r.fixed64())
	return s
}

// seen reads the part of a row of the index that a scan asks for.
func (r *reader) seen() (h Have, current bool) {
	f := r.byte()
	if f&haveNoStat == 0 {
		h.Stat = r.stat()
	}
	v := &h.Known.Value
	v.Kind, v.Size, v.Mode, v.MTime = event.Kind(f&haveKind), h.Stat.Size, uint16(h.Stat.Mode&0o777), h.Stat.MTime
	switch v.Kind {
	case event.File:
		v.Class, v.Root = r.class(), r.id()
	case event.Link:
		v.Target = string(r.bytes())
	}
	if f&haveSize == 0 {
		v.Size = unzigzag(r.uvarint())
	}
	if f&haveMode == 0 {
		v.Mode = r.mode()
	}
	if f&haveMTime == 0 {
		v.MTime = int64(r.fixed64())
	}
	h.Racy = f&haveRacy != 0
	return h, f&haveCurrent != 0
}

// readHave reads a row of the index. A current one still lacks what the view has: see Have.follow.
func (ws *writers) readHave(row []byte) (h Have, current bool, err error) {
	r := &reader{b: row}
	h, current = r.seen()
	if !current {
		k := &h.Known
		k.Base, k.CDot, k.MDot = ws.readVector(r), ws.readDot(r), ws.readDot(r)
		for range r.count(len(event.Hash{})) {
			k.Prev = append(k.Prev, r.id())
		}
		k.Value.Chunks = r.chunks()
	}
	return h, current, r.end("row of the index")
}

// follow fills in what a current row leaves to the view.
func (h *Have) follow(v event.View) {
	k := &h.Known
	k.Base, k.CDot, k.MDot, k.Prev = v.Base, v.CDot, v.MDot, slices.Clone(v.Prev)
	k.Value.Chunks = v.Value.Chunks
}

// needRow is the need of a path as it is stored.
type needRow struct {
	bytes           int64
	reason, message string
}

func (n needRow) append(b []byte) []byte {
	b = binary.AppendUvarint(b, zigzag(n.bytes))
	return appendBytes(appendBytes(b, n.reason), n.message)
}

func readNeed(row []byte) (needRow, error) {
	r := &reader{b: row}
	n := needRow{bytes: unzigzag(r.uvarint()), reason: string(r.bytes()), message: string(r.bytes())}
	return n, r.end("row of a need")
}

func appendHead(b []byte, h event.Head) []byte {
	return append(binary.AppendUvarint(b, h.Seq), h.Hash[:]...)
}

func readHead(w event.Writer, row []byte) (event.Head, error) {
	r := &reader{b: row}
	h := event.Head{Writer: w, Seq: r.uvarint(), Hash: event.Hash(r.id())}
	return h, r.end("head")
}

func appendIntent(b []byte, i Intent) []byte {
	return appendStat(appendValue(appendValue(b, i.Old), i.New), i.OldStat)
}

func readIntent(p event.Path, row []byte) (Intent, error) {
	r := &reader{b: row}
	i := Intent{Path: p, Old: r.value(), New: r.value(), OldStat: r.stat()}
	return i, r.end("intent")
}

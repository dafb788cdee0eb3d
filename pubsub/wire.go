package pubsub

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/pubsub/internal/pb"
)

const (
	maxHeads   = 8 << 10  // writers of one pool in one message
	maxLogs    = 64 << 10 // and in one exchange
	maxHashes  = 24 << 10 // roster records of one pool
	maxReports = 8 << 10  // presence reports of one pool
	maxHint    = 16       // heads in one gossiped hint
	maxGossip  = MaxWhole + 64
	hashSize   = 32
	nonceSize  = 16
	printSize  = 16 // of a fingerprint of state or of the set of reports
	shortSize  = 8  // of a report's hash
	chunkSize  = 512 << 10
	maxFields  = maxHeads + 16
)

// What goes over a stream, and what GossipSub carries: exactly one of these per frame or message.
type (
	hello struct {
		pool          event.PoolID
		roster, heads event.Hash
		reports       [printSize]byte
		nonce         [nonceSize]byte
		count         uint64
		print         [printSize]byte
	}
	prove   struct{}
	refuse  struct{ why error }
	hashes  []event.Hash
	records struct {
		raws [][]byte
		more bool
	}
	have struct {
		heads   []event.Head
		parted  map[event.Writer]uint64 // where forked logs part
		reports [][shortSize]byte
		more    bool
	}
	known   []branches
	reports struct{ raws [][]byte }
	batch   struct {
		packed []byte
		size   uint32
	}
	done struct{}
	ack  struct{}

	whole  []byte
	hint   []event.Head
	report []byte
)

func bad(what string, args ...any) error {
	return fmt.Errorf("%w: "+what, append([]any{ErrProtocol}, args...)...)
}

// encode gives the bytes of one frame.
func encode(m any) ([]byte, error) {
	f := &pb.Frame{}
	switch m := m.(type) {
	case hello:
		f.Body = &pb.Frame_Hello{Hello: &pb.Hello{
			Pool: m.pool[:], Roster: m.roster[:], Heads: m.heads[:], Reports: m.reports[:],
			Nonce: m.nonce[:], Count: m.count, Fingerprint: m.print[:],
		}}
	case prove:
		f.Body = &pb.Frame_Prove{Prove: &pb.Prove{}}
	case refuse:
		f.Body = &pb.Frame_Refuse{Refuse: &pb.Refuse{Why: whyOut(m.why)}}
	case hashes:
		f.Body = &pb.Frame_Hashes{Hashes: &pb.Hashes{Hashes: join(m)}}
	case records:
		f.Body = &pb.Frame_Records{Records: &pb.Blobs{Blobs: m.raws, More: m.more}}
	case have:
		f.Body = &pb.Frame_Have{Have: &pb.Have{Heads: headsOut(m.heads, m.parted), Reports: joinShort(m.reports), More: m.more}}
	case known:
		f.Body = &pb.Frame_Known{Known: knownOut(m)}
	case reports:
		f.Body = &pb.Frame_Reports{Reports: &pb.Blobs{Blobs: m.raws}}
	case batch:
		f.Body = &pb.Frame_Batch{Batch: &pb.Batch{Packed: m.packed, Size: m.size}}
	case done:
		f.Body = &pb.Frame_Done{Done: &pb.Done{}}
	case ack:
		f.Body = &pb.Frame_Ack{Ack: &pb.Ack{}}
	case opening:
		f.Body = &pb.Frame_Open{Open: openOut(m)}
	case turn:
		f.Body = &pb.Frame_Turn{Turn: turnOut(m)}
	default:
		panic(fmt.Sprintf("pubsub: no frame for %T", m))
	}
	return proto.Marshal(f)
}

// decode reads one frame. What it returns shares no memory with b.
func decode(b []byte) (any, error) {
	f := &pb.Frame{}
	if err := sparse(b, 1); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(b, f); err != nil {
		return nil, bad("frame: %v", err)
	}
	switch m := f.Body.(type) {
	case *pb.Frame_Hello:
		return helloIn(m.Hello)
	case *pb.Frame_Prove:
		return prove{}, nil
	case *pb.Frame_Refuse:
		return refuse{whyIn(m.Refuse.GetWhy())}, nil
	case *pb.Frame_Hashes:
		return hashesIn(m.Hashes.GetHashes())
	case *pb.Frame_Records:
		return records{m.Records.GetBlobs(), m.Records.GetMore()}, nil
	case *pb.Frame_Have:
		return haveIn(m.Have)
	case *pb.Frame_Known:
		return knownIn(m.Known)
	case *pb.Frame_Reports:
		return reportsIn(m.Reports)
	case *pb.Frame_Batch:
		return batch{m.Batch.GetPacked(), m.Batch.GetSize()}, nil
	case *pb.Frame_Done:
		return done{}, nil
	case *pb.Frame_Ack:
		return ack{}, nil
	case *pb.Frame_Open:
		return openIn(m.Open)
	case *pb.Frame_Turn:
		return turnIn(m.Turn)
	}
	return nil, bad("frame of unknown kind")
}

func helloIn(m *pb.Hello) (any, error) {
	var h hello
	ok := fill(h.pool[:], m.GetPool()) && fill(h.roster[:], m.GetRoster()) && fill(h.heads[:], m.GetHeads()) &&
		fill(h.reports[:], m.GetReports()) && fill(h.nonce[:], m.GetNonce()) && fill(h.print[:], m.GetFingerprint())
	if !ok {
		return nil, bad("hello with a field of the wrong length")
	}
	h.count = m.GetCount()
	return h, nil
}

func haveIn(m *pb.Have) (any, error) {
	hs, err := headsIn(m.GetHeads(), maxHeads)
	if err != nil {
		return nil, err
	}
	h := have{heads: hs, parted: map[event.Writer]uint64{}, more: m.GetMore()}
	for i, in := range m.GetHeads() {
		if from := in.GetParted(); from > 0 {
			h.parted[hs[i].Writer] = from
		}
	}
	h.reports, err = shorts(m.GetReports(), maxReports)
	return h, err
}

// byWriter finds heads by their logs.
func (h have) byWriter() map[event.Writer]event.Head {
	out := make(map[event.Writer]event.Head, len(h.heads))
	for _, e := range h.heads {
		out[e.Writer] = e
	}
	return out
}

// shorts parts short hashes again that joinShort joined.
func shorts(b []byte, most int) ([][shortSize]byte, error) {
	if len(b)%shortSize != 0 || len(b)/shortSize > most {
		return nil, bad("%d bytes of short hashes", len(b))
	}
	out := make([][shortSize]byte, len(b)/shortSize)
	for i := range out {
		copy(out[i][:], b[i*shortSize:])
	}
	return out, nil
}

func knownOut(k known) *pb.Known {
	m := &pb.Known{}
	for _, b := range k {
		m.Logs = append(m.Logs, &pb.Branches{Node: []byte(b.writer.Node), Epoch: b.writer.Epoch, Segments: joinShort(b.named), Upto: b.upto})
	}
	return m
}

func knownIn(m *pb.Known) (any, error) {
	if len(m.GetLogs()) > maxBranches {
		return nil, bad("%d forked logs", len(m.GetLogs()))
	}
	left := maxNamed
	var k known
	for _, in := range m.GetLogs() {
		node, err := peer.IDFromBytes(in.GetNode())
		if err != nil {
			return nil, bad("forked log: %v", err)
		}
		b := branches{writer: event.Writer{Node: node, Epoch: in.GetEpoch()}, upto: in.GetUpto()}
		if b.named, err = shorts(in.GetSegments(), left); err != nil {
			return nil, err
		}
		left -= len(b.named)
		k = append(k, b)
	}
	return k, nil
}

func reportsIn(m *pb.Blobs) (any, error) {
	for _, b := range m.GetBlobs() {
		if len(b) > MaxReport {
			return nil, bad("report of %d bytes, at most %d", len(b), MaxReport)
		}
	}
	return reports{m.GetBlobs()}, nil
}

func hashesIn(b []byte) (any, error) {
	if len(b)%hashSize != 0 || len(b)/hashSize > maxHashes {
		return nil, bad("%d bytes of record hashes", len(b))
	}
	hs := make(hashes, len(b)/hashSize)
	for i := range hs {
		copy(hs[i][:], b[i*hashSize:])
	}
	return hs, nil
}

func headsIn(ms []*pb.Head, limit int) ([]event.Head, error) {
	if len(ms) > limit {
		return nil, bad("%d heads, at most %d", len(ms), limit)
	}
	hs := make([]event.Head, len(ms))
	for i, m := range ms {
		node, err := peer.IDFromBytes(m.GetNode())
		if err != nil {
			return nil, bad("head: %v", err)
		}
		hs[i] = event.Head{Writer: event.Writer{Node: node, Epoch: m.GetEpoch()}, Seq: m.GetSeq()}
		if hs[i].Seq == 0 || !fill(hs[i].Hash[:], m.GetHash()) {
			return nil, bad("head without number or hash")
		}
	}
	return hs, nil
}

func headsOut(hs []event.Head, parted map[event.Writer]uint64) []*pb.Head {
	ms := make([]*pb.Head, len(hs))
	for i, h := range hs {
		ms[i] = &pb.Head{Node: []byte(h.Writer.Node), Epoch: h.Writer.Epoch, Seq: h.Seq, Hash: h.Hash[:], Parted: parted[h.Writer]}
	}
	return ms
}

func fill(dst, src []byte) bool { return len(src) == copy(dst, src) && len(src) == len(dst) }

func join(hs []event.Hash) []byte {
	b := make([]byte, 0, len(hs)*hashSize)
	for _, h := range hs {
		b = append(b, h[:]...)
	}
	return b
}

func joinShort(hs [][shortSize]byte) []byte {
	b := make([]byte, 0, len(hs)*shortSize)
	for _, h := range hs {
		b = append(b, h[:]...)
	}
	return b
}

func whyOut(err error) pb.Refuse_Why {
	switch err {
	case ErrRemoved:
		return pb.Refuse_REMOVED
	case errBusy:
		return pb.Refuse_BUSY
	}
	return pb.Refuse_NOT_MEMBER
}

func whyIn(w pb.Refuse_Why) error {
	switch w {
	case pb.Refuse_REMOVED:
		return ErrRemoved
	case pb.Refuse_BUSY:
		return errBusy
	}
	return ErrNotMember
}

// encodeGossip gives the bytes of a GossipSub message.
func encodeGossip(m any) ([]byte, error) {
	a := &pb.Announce{}
	switch m := m.(type) {
	case whole:
		a.Body = &pb.Announce_Segment{Segment: m}
	case hint:
		a.Body = &pb.Announce_Hint{Hint: &pb.Heads{Heads: headsOut(m, nil)}}
	case report:
		a.Body = &pb.Announce_Report{Report: m}
	default:
		panic(fmt.Sprintf("pubsub: no announcement for %T", m))
	}
	return proto.Marshal(a)
}

// decodeGossip reads a GossipSub message. What it returns shares no memory with b.
func decodeGossip(b []byte) (any, error) {
	if len(b) > maxGossip {
		return nil, bad("announcement of %d bytes, at most %d", len(b), maxGossip)
	}
	a := &pb.Announce{}
	if err := proto.Unmarshal(b, a); err != nil {
		return nil, bad("announcement: %v", err)
	}
	switch m := a.Body.(type) {
	case *pb.Announce_Segment:
		if len(m.Segment) == 0 || len(m.Segment) > MaxWhole {
			return nil, bad("segment of %d bytes announced whole", len(m.Segment))
		}
		return whole(m.Segment), nil
	case *pb.Announce_Hint:
		hs, err := headsIn(m.Hint.GetHeads(), maxHint)
		return hint(hs), err
	case *pb.Announce_Report:
		if len(m.Report) == 0 || len(m.Report) > MaxReport {
			return nil, bad("report of %d bytes announced", len(m.Report))
		}
		return report(m.Report), nil
	}
	return nil, bad("announcement of unknown kind")
}

// sparse refuses a message of more than maxFields fields, also in messages down to depth, before they cost memory: an
// empty head is two bytes on the wire and a hundred here.
func sparse(b []byte, depth int) error {
	for n := 0; len(b) > 0; n++ {
		_, typ, head := protowire.ConsumeTag(b)
		if head < 0 {
			return bad("message: %v", protowire.ParseError(head))
		}
		size := protowire.ConsumeFieldValue(0, typ, b[head:])
		if size < 0 {
			return bad("message: %v", protowire.ParseError(size))
		}
		if n >= maxFields {
			return bad("more than %d fields", maxFields)
		}
		if inner, _ := protowire.ConsumeBytes(b[head:]); depth > 0 && typ == protowire.BytesType {
			if err := sparse(inner, depth-1); err != nil {
				return err
			}
		}
		b = b[head+size:]
	}
	return nil
}

// pile joins segments to the plain contents of a batch, and unpile parts them again.
func pile(raws [][]byte) ([]byte, error) { return proto.Marshal(&pb.Blobs{Blobs: raws}) }

func unpile(b []byte) ([][]byte, error) {
	m := &pb.Blobs{}
	if err := sparse(b, 0); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, bad("batch: %v", err)
	}
	return m.GetBlobs(), nil
}

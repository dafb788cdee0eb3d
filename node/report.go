package node

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/bwaklog/meerkat/event"
	"github.com/bwaklog/meerkat/node/internal/pb"
)

const (
	maxReport      = 8 << 10
	maxReportAddrs = 16
	maxReportHeads = 64
)

var errReport = errors.New("bad report")

// report is what a member last signed about itself: what it knows, what it
// still lacks, and where it can be reached. It outlives the connection: status
// tells of members that are off from what they last said.
type report struct {
	Pool    event.PoolID
	Node    peer.ID
	Time    event.HLC
	Heads   map[event.Writer]uint64
	Wanted  Amount
	State   string
	Addrs   []ma.Multiaddr
	Version string
	Leaving bool
	Root    event.Hash
	Busy    bool
	Lacks   []lack // some of what is wanted
	Partial bool   // Heads are not all that it knows
}

// Domain, Codec, MarshalRecord and UnmarshalRecord make a report the payload
// of a signed libp2p envelope.
func (*report) Domain() string { return "meerkat-report-v1" }

// Codec names the payload within the envelope.
func (*report) Codec() []byte { return []byte("/meerkat/report/1") }

// MarshalRecord encodes the report.
func (r *report) MarshalRecord() ([]byte, error) {
	m := &pb.Report{
		Pool: r.Pool[:], Node: []byte(r.Node), Time: uint64(r.Time),
		WantedFiles: uint64(r.Wanted.Files), WantedBytes: uint64(r.Wanted.Bytes),
		State: r.State, Version: r.Version, Leaving: r.Leaving, Root: r.Root[:], Busy: r.Busy,
		Partial: r.Partial || len(r.Heads) > maxReportHeads,
	}
	for _, w := range newest(r.Heads, maxReportHeads) {
		m.Heads = append(m.Heads, &pb.WriterSeq{Node: []byte(w.Node), Epoch: w.Epoch, Seq: r.Heads[w]})
	}
	appendLacks(m, r.Lacks)
	for _, a := range r.Addrs[:min(len(r.Addrs), maxReportAddrs)] {
		m.Addrs = append(m.Addrs, a.Bytes())
	}
	return proto.Marshal(m)
}

// UnmarshalRecord decodes a report and checks its limits.
func (r *report) UnmarshalRecord(b []byte) error {
	var m pb.Report
	if err := proto.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("%w: %w", errReport, err)
	}
	if len(m.Pool) != len(r.Pool) || len(m.Root) != len(r.Root) || len(m.Addrs) > maxReportAddrs ||
		len(m.Heads) > maxReportHeads || len(m.State) > 32 || len(m.Version) > 64 {
		return fmt.Errorf("%w: out of bounds", errReport)
	}
	id, err := peer.IDFromBytes(m.Node)
	if err != nil {
		return fmt.Errorf("%w: %w", errReport, err)
	}
	*r = report{
		Pool: event.PoolID(m.Pool), Node: id, Time: event.HLC(m.Time), Root: event.Hash(m.Root),
		Wanted: Amount{Files: clampInt(m.WantedFiles), Bytes: clampInt(m.WantedBytes)},
		State:  m.State, Version: m.Version, Leaving: m.Leaving, Busy: m.Busy, Partial: m.Partial,
		Heads: make(map[event.Writer]uint64, len(m.Heads)),
	}
	if r.Lacks, err = readLacks(&m); err != nil {
		return err
	}
	return r.readLists(&m)
}

func (r *report) readLists(m *pb.Report) error {
	for _, h := range m.Heads {
		id, err := peer.IDFromBytes(h.Node)
		if err != nil {
			return fmt.Errorf("%w: %w", errReport, err)
		}
		r.Heads[event.Writer{Node: id, Epoch: h.Epoch}] = h.Seq
	}
	for _, b := range m.Addrs {
		a, err := ma.NewMultiaddrBytes(b)
		if err != nil {
			return fmt.Errorf("%w: %w", errReport, err)
		}
		r.Addrs = append(r.Addrs, a)
	}
	return nil
}

// newest are the writers of heads with the newest epochs, at most n: those that
// still write.
func newest(heads map[event.Writer]uint64, n int) []event.Writer {
	ws := slices.SortedFunc(maps.Keys(heads), func(a, b event.Writer) int {
		return cmp.Or(cmp.Compare(b.Epoch, a.Epoch), a.Compare(b))
	})
	return ws[:min(len(ws), n)]
}

// keepNewest leaves n heads in r.
func (r *report) keepNewest(n int) {
	kept := map[event.Writer]uint64{}
	for _, w := range newest(r.Heads, n) {
		kept[w] = r.Heads[w]
	}
	r.Partial = r.Partial || len(kept) < len(r.Heads)
	r.Heads = kept
}

// clampInt keeps a peer's claim from turning negative.
func clampInt(v uint64) int64 { return int64(min(v, 1<<62)) }

// sealReport signs r with the node's key.
func sealReport(key crypto.PrivKey, r *report) ([]byte, error) {
	env, err := record.Seal(r, key)
	if err != nil {
		return nil, fmt.Errorf("seal report: %w", err)
	}
	return env.Marshal()
}

// openReport verifies a report's bounds and signature and that it speaks of
// pool and of its own signer.
func openReport(pool event.PoolID, raw []byte) (*report, error) {
	if len(raw) > maxReport {
		return nil, fmt.Errorf("%w: %d bytes", errReport, len(raw))
	}
	var r report
	env, err := record.ConsumeTypedEnvelope(raw, &r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReport, err)
	}
	if r.Pool != pool || !r.Node.MatchesPublicKey(env.PublicKey) {
		return nil, fmt.Errorf("%w: signed by another", errReport)
	}
	return &r, nil
}

// covers reports whether the reporter knows every event of heads.
func (r *report) covers(heads []event.Head) bool {
	return r.behind(heads) == 0
}

// behind counts the events of heads that the reporter had not seen.
func (r *report) behind(heads []event.Head) int64 {
	var n int64
	for _, h := range heads {
		if have, said := r.seq(h.Writer); said && have < h.Seq {
			n += int64(h.Seq - have)
		}
	}
	return n
}

// seq is how much of w the reporter had seen; said is false where it left that
// out.
func (r *report) seq(w event.Writer) (seq uint64, said bool) {
	seq, ok := r.Heads[w]
	return seq, ok || !r.Partial
}

// ahead reports whether the reporter says that it knows events that heads lack.
func (r *report) ahead(heads []event.Head) bool {
	_, ahead := r.claims(heads)
	return ahead
}

package main

import (
	"encoding/binary"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bwaklog/meerkat/event"
)

// What docs/protocol.md and event.proto lay down, written here once more and
// without any check, so that what no honest node can seal can be sealed.
const (
	domainLeaf    = "meerkat event 1\x00"
	domainNode    = "meerkat leaves 1\x00"
	domainSegment = "meerkat segment 1\x00"
)

// forger signs whatever it is given as the next segment of a log.
type forger struct {
	key  crypto.PrivKey
	pool event.PoolID
	head event.Head
	as   string // another's public key to put in the header, or ""
}

// says is an event before it is encoded; zero fields are left out.
type says struct {
	path    string
	kind    event.Kind
	mode    uint64
	mtime   int64
	size    uint64
	class   uint64
	ids     []byte // of inline chunks
	root    []byte
	target  string
	hlc     uint64
	own     uint64
	writers []event.Writer // of ctx, ascending
	seqs    []uint64
}

func put[T ~string | ~[]byte](b []byte, num protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return append(protowire.AppendVarint(b, uint64(len(v))), v...)
}

func putInt(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func putFixed(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), v)
}

func (e says) encode() []byte {
	b := put(nil, 1, e.path)
	b = putInt(b, 2, uint64(e.kind))
	b = putInt(b, 3, e.mode)
	b = putFixed(b, 4, uint64(e.mtime))
	b = putInt(b, 5, e.size)
	b = putInt(b, 6, e.class)
	b = put(b, 7, e.ids)
	b = put(b, 9, e.root)
	b = put(b, 10, e.target)
	b = putFixed(b, 11, e.hlc)
	b = putInt(b, 12, e.own)
	var table, seqs []byte
	for i, w := range e.writers {
		table = binary.BigEndian.AppendUint64(append(table, publicKey(w.Node)...), w.Epoch)
		seqs = binary.AppendUvarint(seqs, e.seqs[i])
	}
	return put(put(b, 13, table), 14, seqs)
}

// publicKey is the bare Ed25519 key behind an id.
func publicKey(p peer.ID) string { return string(p)[len(p)-32:] }

// seal signs events as one segment, and moves the log's head behind it.
func (f *forger) seal(events ...says) []byte {
	raws := make([][]byte, len(events))
	for i, e := range events {
		raws[i] = e.encode()
	}
	return f.sealRaw(raws)
}

func (f *forger) sealRaw(raws [][]byte) []byte {
	author := f.as
	if author == "" {
		author = publicKey(f.head.Writer.Node)
	}
	first := f.head.Seq + 1
	b := put(nil, 1, f.pool[:])
	b = put(b, 2, author)
	b = putFixed(b, 3, f.head.Writer.Epoch)
	b = putInt(b, 4, first)
	if first > 1 {
		b = put(b, 5, f.head.Hash[:])
	}
	b = putInt(b, 7, uint64(len(raws)))
	root := merkle(leafHashes(author, f.head.Writer.Epoch, first, raws))
	head := put(b, 8, root[:])
	msg := append([]byte(domainSegment), head...)
	sig, err := f.key.Sign(msg)
	if err != nil {
		panic(err) // an Ed25519 key signs everything
	}
	f.head.Seq, f.head.Hash = first+uint64(len(raws))-1, blake3.Sum256(msg)
	out := put(put(nil, 1, head), 2, sig)
	for _, raw := range raws {
		out = put(out, 3, put(nil, 1, raw))
	}
	return out
}

func leafHashes(author string, epoch, first uint64, raws [][]byte) [][32]byte {
	out := make([][32]byte, len(raws))
	for i, raw := range raws {
		b := binary.BigEndian.AppendUint64(append([]byte(domainLeaf), author...), epoch)
		b = binary.BigEndian.AppendUint64(b, first+uint64(i))
		out[i] = blake3.Sum256(append(b, raw...))
	}
	return out
}

func merkle(level [][32]byte) [32]byte {
	for len(level) > 1 {
		var up [][32]byte
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				up = append(up, level[i])
				continue
			}
			b := append([]byte(domainNode), level[i][:]...)
			up = append(up, blake3.Sum256(append(b, level[i+1][:]...)))
		}
		level = up
	}
	return level[0]
}

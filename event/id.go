package event

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/zeebo/blake3"
)

// PoolID names a pool: the hash of its genesis record.
type PoolID [32]byte

// String is id in hex.
func (id PoolID) String() string { return hex.EncodeToString(id[:]) }

// IsZero says whether id names nothing.
func (id PoolID) IsZero() bool { return id == PoolID{} }

// ParsePoolID reads what [PoolID.String] wrote. Its errors wrap [ErrID].
func ParsePoolID(s string) (PoolID, error) {
	id, err := parse32(s)
	return PoolID(id), err
}

// Hash names signed bytes: a BLAKE3-256 with a domain in front. The zero Hash names nothing.
type Hash [32]byte

// String is h in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero says whether h names nothing.
func (h Hash) IsZero() bool { return h == Hash{} }

// Compare orders hashes by their bytes.
func (h Hash) Compare(o Hash) int { return strings.Compare(string(h[:]), string(o[:])) }

// ParseHash reads what [Hash.String] wrote. Its errors wrap [ErrID].
func ParseHash(s string) (Hash, error) {
	h, err := parse32(s)
	return Hash(h), err
}

// ErrID is wrapped by the errors of [ParsePoolID] and [ParseHash].
var ErrID = errors.New("not an id")

func parse32(s string) (id [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return id, fmt.Errorf("%w: %.80q is not 64 lower-case hex digits", ErrID, s)
	}
	return [32]byte(b), nil
}

// Writer is one memory of one node. A node whose memory may have been rolled back goes on as a new Writer, so that it
// never says two things under one dot.
type Writer struct {
	Node  peer.ID
	Epoch uint64
}

// Compare orders writers by node, then by epoch.
func (w Writer) Compare(o Writer) int {
	if c := strings.Compare(string(w.Node), string(o.Node)); c != 0 {
		return c
	}
	return cmp.Compare(w.Epoch, o.Epoch)
}

// String is the node and the epoch in hex, for logs.
func (w Writer) String() string { return fmt.Sprintf("%s/%x", w.Node, w.Epoch) }

// Dot is the short name of an event: the seq-th of its writer, counted from 1. Two events with one dot are a fork.
type Dot struct {
	Writer Writer
	Seq    uint64
}

// IsZero says whether d names nothing.
func (d Dot) IsZero() bool { return d.Seq == 0 }

// Compare orders dots by writer, then by seq.
func (d Dot) Compare(o Dot) int {
	if c := d.Writer.Compare(o.Writer); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, o.Seq)
}

// String is the writer and the seq, for logs.
func (d Dot) String() string { return fmt.Sprintf("%s:%d", d.Writer, d.Seq) }

// keySize is the length of an Ed25519 public key. A node's id is its key behind keyPrefix, which says: identity
// multihash of 36 bytes, a protobuf with key type Ed25519 and 32 bytes of key.
const keySize = 32

const keyPrefix = "\x00\x24\x08\x01\x12\x20"

// rawKey is the Ed25519 public key that id stands for.
func rawKey(id peer.ID) (string, bool) {
	if len(id) != len(keyPrefix)+keySize || id[:len(keyPrefix)] != keyPrefix {
		return "", false
	}
	return string(id[len(keyPrefix):]), true
}

// nodeOf is the inverse of rawKey.
func nodeOf(key []byte) peer.ID { return peer.ID(keyPrefix + string(key)) }

// Domains keep a hash or a signature of one kind of bytes from being taken for another.
const (
	domainLeaf    = "meerkat event 1\x00"
	domainNode    = "meerkat leaves 1\x00"
	domainSegment = "meerkat segment 1\x00"
	domainItem    = "meerkat item 1\x00"
	domainEntry   = "meerkat entry 1\x00"
	domainSum     = "meerkat sum 1\x00"
	domainLink    = "meerkat link 1\x00"
	domainKey     = "meerkat key 1\x00"
	domainRecord  = "meerkat record 1\x00"
)

func sum(b []byte) Hash { return blake3.Sum256(b) }

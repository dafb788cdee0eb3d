package chunker

import (
	"encoding/base32"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"
)

// ID names a chunk or a manifest block: the BLAKE3-256 of its bytes. The zero ID names nothing.
type ID [32]byte

// ErrID is wrapped by every error of [ParseID].
var ErrID = errors.New("not a chunk id")

// cidPrefix is what stands before the digest in a CIDv1: version 1, codec raw, multihash blake3, 32 bytes.
var cidPrefix = [4]byte{0x01, 0x55, 0x1e, 0x20}

// cidText is multibase base32: lower case, unpadded, with the letter b in front.
var cidText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Sum names b. It keeps nothing of b, allocates nothing and runs on the calling goroutine alone.
func Sum(b []byte) ID { return blake3.Sum256(b) }

// IsZero says whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String is the CIDv1 (raw, blake3) of id in base32, as other IPFS tools print it: 59 characters.
func (id ID) String() string {
	var raw [len(cidPrefix) + len(id)]byte
	copy(raw[:], cidPrefix[:])
	copy(raw[len(cidPrefix):], id[:])
	return "b" + cidText.EncodeToString(raw[:])
}

// ParseID reads what [ID.String] wrote, and no other spelling of it. Its errors wrap [ErrID].
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) == 0 || s[0] != 'b' {
		return id, fmt.Errorf("%w: %.80q has no leading b", ErrID, s)
	}
	raw, err := cidText.DecodeString(s[1:])
	if err != nil {
		return id, fmt.Errorf("%w: %.80q: %w", ErrID, s, err)
	}
	if len(raw) != len(cidPrefix)+len(id) || [len(cidPrefix)]byte(raw) != cidPrefix {
		return id, fmt.Errorf("%w: %.80q is no CIDv1 of a raw BLAKE3-256", ErrID, s)
	}
	copy(id[:], raw[len(cidPrefix):])
	if id.String() != s { // the last character has spare bits: one id, one spelling
		return ID{}, fmt.Errorf("%w: %.80q is not canonical", ErrID, s)
	}
	return id, nil
}

package event

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrState is wrapped by every error of [DecodeState].
var ErrState = errors.New("bad state")

func appendCount(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendBlock(b, block []byte) []byte { return append(appendCount(b, len(block)), block...) }

// Encode is the one encoding of s, owned by the caller: for live leaves and then for witnesses a count, and of each
// leaf the dot, the length of Raw, and Raw. Covered follows from the leaves and is not written.
func (s State) Encode() []byte {
	n := 2
	for _, l := range s.leaves() {
		n += len(l.Raw) + 64
	}
	b := make([]byte, 0, n)
	for _, ls := range [2][]Leaf{s.Live, s.Witness} {
		b = appendCount(b, len(ls))
		for _, l := range ls {
			b = appendBlock(appendDot(b, l.Dot), l.Raw)
		}
	}
	return b
}

// DecodeState reads what [State.Encode] wrote. The state keeps b; nobody may change it afterwards. Leaves are checked
// as [OpenLeaf] does, and that each is where it belongs; signatures are not there to be checked.
func DecodeState(b []byte) (State, error) {
	live, b, err := cutLeaves(b)
	if err != nil {
		return State{}, err
	}
	witness, b, err := cutLeaves(b)
	if err != nil {
		return State{}, err
	}
	s := State{Live: live, Witness: witness}
	for _, l := range s.leaves() {
		s.Covered = s.Covered.grow(l.Event.Ctx)
	}
	if len(b) != 0 || !s.sound() {
		return State{}, fmt.Errorf("%w: leaves are out of place", ErrState)
	}
	return s, nil
}

func cutLeaves(b []byte) ([]Leaf, []byte, error) {
	n, b, ok := cutUvarint(b)
	if !ok {
		return nil, nil, fmt.Errorf("%w: bad count", ErrState)
	}
	var leaves []Leaf
	for i := range n {
		d, rest, ok := cutDot(b)
		size, rest, ok2 := cutUvarint(rest)
		if !ok || !ok2 || size > uint64(len(rest)) {
			return nil, nil, fmt.Errorf("%w: leaf %d is cut short", ErrState, i)
		}
		l, err := OpenLeaf(d, rest[:size])
		if err != nil {
			return nil, nil, fmt.Errorf("%w: leaf %d: %w", ErrState, i, err)
		}
		leaves, b = append(leaves, l), rest[size:]
	}
	return leaves, b, nil
}

// sound says whether a decoded state is one that Add can make.
func (s State) sound() bool {
	all := s.leaves()
	for i, l := range all {
		witness := i >= len(s.Live)
		if i > 0 && i != len(s.Live) && all[i-1].Hash.Compare(l.Hash) >= 0 {
			return false
		}
		if s.Covered.Covers(l.Dot) != witness || l.Event.Path != all[0].Event.Path {
			return false
		}
		for j := range all {
			if witness && outranks(&all[j], &l) {
				return false
			}
		}
	}
	return true
}

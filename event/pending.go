package event

import (
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/bwaklog/meerkat/chunker"
)

var errPending = ErrEvent

// State is what is known of one path.
type State struct {
	Live, Witness []Leaf
	Covered       Vector
}

// Add adds.
func (s State) Add(l Leaf) (State, bool) { return s, false }

// Encode encodes.
func (s State) Encode() []byte { return nil }

// DecodeState decodes.
func DecodeState(b []byte) (State, error) { return State{}, errPending }

// Item is the item.
func (s State) Item(p Path) [32]byte { return [32]byte{} }

// View is the view.
func (s State) View(liveKids bool) View { return View{} }

// View is what stands at a path.
type View struct {
	Value      Value
	Base       Vector
	CDot, MDot Dot
	Prev       []chunker.ID
	Implied    bool
	Losers     []Loser
	Settled    bool
	Author     peer.ID
	HLC        HLC
}

// Loser is a value that needs a conflict copy.
type Loser struct {
	Value Value
	Leaf  Leaf
}

// ConflictName names.
func ConflictName(p Path, l Leaf) Path { return p }

// Known is what the author had at the path.
type Known struct {
	Value      Value
	Base       Vector
	CDot, MDot Dot
	Prev       []chunker.ID
}

// Change drafts.
func Change(p Path, k Known, now Value, t HLC) Event { return Event{} }

// Settle settles.
func Settle(p Path, s State, liveKids bool, at func(Path) State, t func() HLC) []Event { return nil }

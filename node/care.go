package node

import (
	"sync"
	"time"

	"github.com/bwaklog/meerkat/chunker"
	"github.com/bwaklog/meerkat/event"
)

// care is what a replica remembers for history and upkeep; all of it can be
// found out again.
type care struct {
	mu     sync.Mutex
	losers map[event.Path]loser  // whose edit a conflict copy keeps
	shares map[chunker.ID]uint32 // permille that is there of unfinished files

	until    time.Time // of a pause
	stopTurn func()    // ends the turn of the converge loop
}

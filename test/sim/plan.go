package sim

import "log/slog"

// Faults says what happens in a history besides edits.
type Faults struct {
	Network bool // partitions, cuts in one direction, loss, delay
	Stops   bool // orderly stops
	Crashes bool // power cuts, at rest and in the middle of a change
	Midway  bool // edits in the middle of a change that the node makes
	Losses  bool // a state's disk is lost in a power cut
	Late    bool // members join later, with files of their own
	Disks   bool // calls fail with EIO or ENOSPC; the state is backed up, and put back after a power cut
	People  bool // there are two admins, who take members out and let them in again
	Early   bool // tombstones are collected when they are a minute old, and members that were silent for two are not waited for
}

// Plan says what a history is made of. All else follows from its seed.
type Plan struct {
	Seed     uint64
	Machines int
	Steps    int
	Faults   Faults
	Log      *slog.Logger
	Say      func(format string, args ...any)
}

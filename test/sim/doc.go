// Package sim runs many whole nodes in one process, in the fake time of a testing/synctest bubble: on a simulated network,
// with their state on a disk in memory that can be lost as in a power cut or put back from a backup, and their folders on the
// real disk, whose calls can be made to fail and which forgets with the power what was not synced. Seeded
// histories edit, part, stop and crash them; when all is healed, the folders must be equal and hold every value that
// nobody has superseded.
//
// A seed replays its inputs, not the order in which goroutines run.
package sim

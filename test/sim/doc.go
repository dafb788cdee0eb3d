// Package sim runs many whole nodes in one process, in the fake time of a testing/synctest bubble: on a simulated network,
// with their state on a disk in memory that can be lost as in a power cut, and their folders on the real disk. Seeded
// histories edit, part, stop and crash them; when all is healed, the folders must be equal and hold every value that
// nobody has superseded.
//
// A seed replays its inputs, not the order in which goroutines run.
package sim

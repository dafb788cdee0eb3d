// Package event says what an author says about a path, how the sayings are signed and ordered, and what tree they add
// up to. It opens no file, no socket and no clock but [Clock], starts no goroutine, and decides nothing about who may
// speak: roles are package pool's, and memory is package store's.
//
// An [Event] is one author's statement about one path. Sealed into a [Segment] it becomes a [Leaf]: it has a [Dot], a
// [Hash] and the bytes that were signed. The [State] of a path is a function of the set of leaves at it, whatever the
// order of delivery; the [View] of a state is what ought to stand in the folder.
//
// All bytes are signed, hashed and stored as they were sent. The encoding is protobuf (internal/pb/event.proto) in its
// one canonical form; see docs/protocol.md.
package event

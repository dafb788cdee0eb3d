// Package pool says who belongs to a pool and what each member may do: signed
// records, tickets, and the roster that the records add up to. It opens no
// connection, touches no disk and reads no clock.
//
// A pool begins with its genesis record, whose hash is the pool's id. Every
// other record names the newest records that its author had seen (its heads),
// so that the records form a graph, and each is judged by what its author
// could know: an act counts if the author had the right to it along the
// record's own past. Where acts did not know of each other, the cautious one
// counts: whoever loses a right loses also what it did with that right
// unseen by the one that took it away, a removal beats a concurrent
// admission of the same node, and a revoked ticket admits nobody
// concurrently. Where two acts each take the other's right away, the author
// who has been a member longer prevails, then the lower (hlc, hash). All this
// is a function of the set of records: the order in which they arrive does not
// matter.
//
// A record is a 64-byte Ed25519 signature and the protobuf Body that it signs
// (internal/pb). It is verified, hashed and stored in the bytes received.
package pool

//go:generate protoc --go_out=internal/pb --go_opt=paths=source_relative -I internal/pb pool.proto

// Limits that a record, a ticket and a roster keep.
const (
	MaxName    = 64       // bytes of a pool's or node's name
	MaxRecord  = 64 << 10 // bytes of a record
	MaxRecords = 4096     // records of a roster
	MaxTicket  = 4096     // characters of a ticket
	MaxAddrs   = 4        // address hints of a ticket
	MaxUses    = 10_000   // admissions by one ticket
	maxHeads   = 256
	maxPending = 256
	maxAddr    = 256
)

// Package store remembers what a node knows, in one pebble database: the
// members' logs, the tree they add up to, what lies on this disk, what is
// still needed, and where each chunk can be read. It opens no file of the
// user's, talks to nobody and starts no work by itself: it makes each fact
// durable in one commit, together with everything that follows from it, so
// that a crash at any moment leaves facts that agree with each other.
//
// A write (Commit, Append, AddRecords and their like) is durable when it
// returns. Writes to one pool happen one after the other; reads never wait
// for them. Everything is safe for concurrent use. Memory does not grow with
// the number of entries.
//
// # Rows
//
// The key of a row is one letter for the table; in the tables of a pool it
// follows 'p' and the pool's number (4 bytes). Rows name writers by a number.
//
//	v                     format version
//	f key                 a fact of the node (Set)
//	n poolID              the number of a pool
//	p # w number          writer: node, epoch
//	p # r hash            roster record, raw
//	p # f key             a fact of the pool
//	p # s                 sums and counts, see facts
//	p # h writer          head of a log: seq, hash
//	p # l writer last branch hash   segment, raw; branch 1 is a fork of branch 0
//	p # k writer          forked: the writer, in full
//	p # t dir NUL name    tree: flags, live children, state
//	p # m key path        item of a path's state, in the order of state reconciliation
//	p # a depth prefix    sum of the items in a range, down to depth 3
//	p # x writer seq hash supplement: an event that came with its proof, ahead of or beside the log
//	p # i dir NUL name    index: what lies on this disk
//	p # d dir NUL name    need: bytes, reason, message
//	p # u dir NUL name    unsettled, empty
//	p # o dir NUL name    open intent
//	p # b block root16    manifest block, for each root that uses it
//	p # c chunk16 root16  chunk: offset and size in files of that root
//	p # q root kind path  reference: a file, a version, or a fetch under way
package store

// Package chunker cuts a byte stream where its content says so, and names the pieces.
//
// The cutter is FastCDC-2020: a gear hash over the last 64 bytes, normalisation level 2. Where it cuts
// depends on the bytes and the [Class] alone, never on buffer sizes, read sizes or the number of workers. A piece
// is named by the BLAKE3-256 of its bytes ([ID]); the list of a file's pieces is a [Manifest], itself cut into
// blocks that are named the same way.
//
// It stores nothing, opens no file, and knows neither paths nor peers.
package chunker

// MaxChunk is the size in bytes of the biggest chunk of any class, and the limit of a manifest block.
const MaxChunk = 4 << 20

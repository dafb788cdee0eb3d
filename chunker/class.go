package chunker

import "fmt"

// Class says how big the chunks of a file are. It stands in the manifest, so both sides cut alike.
type Class uint8

// The classes and their smallest, average and biggest chunk.
const (
	Small  Class = iota // 16, 64, 256 KiB
	Medium              // 64, 256, 1024 KiB
	Large               // 256, 1024, 4096 KiB
)

const (
	smallMost  = 256 << 20 // a fresh file of at most this many bytes is Small
	mediumMost = 4 << 30   // and of at most this many Medium
	stretch    = 4         // how far beyond its bounds a file may go before it changes class
)

// ClassFor is the class of a file of size bytes that has none yet.
func ClassFor(size int64) Class {
	switch {
	case size <= smallMost:
		return Small
	case size <= mediumMost:
		return Medium
	}
	return Large
}

// Keep is the class for a file that has class c already and is now size bytes long: c itself, unless size is more
// than four times above c's upper bound or below a quarter of its lower bound. Without this hysteresis a file at a
// bound that grows by one byte would be cut anew, and sent again as a whole.
func (c Class) Keep(size int64) Class {
	low, high := c.bounds()
	if size > high || size < low {
		return ClassFor(size)
	}
	return c
}

// Fixed reports whether a file of size bytes has the class [ClassFor] gives whatever class it had before: small ones do, and
// so nobody need look up what theirs was.
func Fixed(size int64) bool { return size < smallMost/stretch }

// bounds is the range of sizes over which a file keeps class c. For an unknown class it is empty.
func (c Class) bounds() (low, high int64) {
	switch c {
	case Small:
		return 0, smallMost * stretch
	case Medium:
		return smallMost / stretch, mediumMost * stretch
	case Large:
		return mediumMost / stretch, 1<<63 - 1
	}
	return 0, -1
}

// Valid says whether c is one of the three classes.
func (c Class) Valid() bool { return c <= Large }

// Sizes are the bytes of c's smallest, average and biggest chunk. Only a file's last chunk may be smaller than min.
// It panics when c is not [Class.Valid].
func (c Class) Sizes() (min, avg, max int) {
	if !c.Valid() {
		panic(fmt.Sprintf("chunker: class %d", c))
	}
	avg = 64 << 10 << (2 * c)
	return avg / 4, avg, avg * 4
}

// String is the name of c in logs.
func (c Class) String() string {
	switch c {
	case Small:
		return "small"
	case Medium:
		return "medium"
	case Large:
		return "large"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

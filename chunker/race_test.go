//go:build race

package chunker_test

// raced: the race detector allocates by itself, and empties pools at random.
const raced = true

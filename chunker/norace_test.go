//go:build !race

package chunker_test

const raced = false

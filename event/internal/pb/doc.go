// Package pb is the protobuf schema of package event, for other implementations and for the test that holds the
// hand-written codec against it. It has no code of its own and no part in decoding.
package pb

//go:generate protoc --go_out=. --go_opt=paths=source_relative event.proto

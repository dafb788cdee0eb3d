// Package pb holds the generated messages of pubsub's two protocols. It is for pubsub's own edge and judges nothing: limits and
// meanings are checked where a message becomes a value of package pubsub.
package pb

//go:generate protoc --go_out=. --go_opt=paths=source_relative pubsub.proto

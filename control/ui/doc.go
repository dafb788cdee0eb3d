// Package ui is the dashboard of a running node: one page over HTTP, made on
// the server, that can be read without JavaScript and keeps itself fresh with
// it. It asks and acts through a [control.Backend], like every other front of
// the node, and remembers nothing but who is logged in.
//
// Whoever is logged in is the owner and may do what the owner's commands can;
// the package's own work is to let nobody else in. See guard.go and door.go.
package ui

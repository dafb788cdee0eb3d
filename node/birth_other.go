//go:build !linux

package node

// birthOf cannot tell a copy of the state here: the folder's marker and the
// members do.
func birthOf(string) string { return "" }

// bootOf cannot tell here.
func bootOf() string { return "" }

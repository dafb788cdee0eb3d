// Package control is the front door of a running node: HTTP over a unix socket
// in the node's home, and the typed client that knocks there. It decides
// nothing and remembers nothing; what a call means stands in [Backend].
//
// Each verb of the table in routes.go is POST /v1/VERB with a JSON object as
// its body (GET will do where no arguments are needed). The answer is one JSON
// object or, for streams, one object a line. Trouble is an object with the
// schema "meerkat.error/v1": the whole answer, or the last line of a stream. A
// caller's deadline travels in the header Meerkat-Timeout-Ms.
package control

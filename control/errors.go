package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/bwaklog/meerkat/node"
)

// Exit codes of CLI.md that this package gives by itself.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitNoNode     = 3
	exitNotFound   = 4
	exitNotAllowed = 5
	exitTimeout    = 6
	exitAlready    = 10
)

// fault is an error on the wire.
type fault struct {
	Schema  string `json:"schema"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	Exit    int    `json:"exit"`
}

// Flat gives err the shape in which it is shown: a *node.Error whose message
// holds its cause, on one line, and with an exit code that is never 0.
func Flat(err error) *node.Error {
	var e *node.Error
	switch {
	case errors.As(err, &e):
		e = &node.Error{Code: e.Code, Message: outer(err, e), Hint: e.Hint, Exit: e.Exit}
	case errors.Is(err, context.DeadlineExceeded):
		e = &node.Error{Code: "timeout", Message: "the time ran out", Hint: "give it longer with --timeout", Exit: exitTimeout}
	case errors.Is(err, context.Canceled):
		e = &node.Error{Code: "stopped", Message: "stopped before it was done", Exit: exitFailed}
	default:
		e = &node.Error{Message: err.Error()}
	}
	if e.Code == "" {
		e.Code = "failed"
	}
	if e.Exit == 0 {
		e.Exit = exitFailed
	}
	e.Message, e.Hint = oneLine(e.Message), oneLine(e.Hint)
	return e
}

// outer keeps what callers wrapped around the *node.Error.
func outer(err error, e *node.Error) string {
	if s := err.Error(); strings.Contains(s, e.Message) {
		return s
	}
	return e.Error()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// MarshalError gives the JSON object of err, in one line without its newline.
func MarshalError(err error) []byte {
	e := Flat(err)
	b, err := json.Marshal(fault{node.SchemaError, e.Code, e.Message, e.Hint, e.Exit})
	if err != nil {
		panic(err) // strings and an int always marshal
	}
	return b
}

// asFault gives the error that a line carries, or nil where it carries none.
func asFault(line []byte) error {
	var f fault
	if json.Unmarshal(line, &f) != nil || f.Schema != node.SchemaError {
		return nil
	}
	return Flat(&node.Error{Code: f.Code, Message: f.Message, Hint: f.Hint, Exit: f.Exit})
}

// httpStatus is for those who knock with curl; our client reads the body.
func httpStatus(e *node.Error) int {
	switch e.Exit {
	case exitUsage:
		return http.StatusBadRequest
	case exitNotFound:
		return http.StatusNotFound
	case exitNotAllowed:
		return http.StatusForbidden
	case exitTimeout:
		return http.StatusGatewayTimeout
	case exitAlready:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

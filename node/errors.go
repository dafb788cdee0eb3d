package node

// Error is trouble told to a person: what happened, and what to do next. Code
// is a stable word for programs, Exit the exit code of CLI.md, Err the cause
// (may be nil). Message is one line without a full stop; Hint may be empty.
type Error struct {
	Code, Message, Hint string
	Exit                int
	Err                 error
}

// Error gives the message, and the cause in brackets.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + " (" + e.Err.Error() + ")"
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

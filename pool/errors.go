package pool

import "errors"

// Why a record or an act is refused. Callers choose by errors.Is.
var (
	ErrRecord        = errors.New("bad roster record")
	ErrNoGenesis     = errors.New("roster without its first record")
	ErrForeign       = errors.New("record of another pool")
	ErrFull          = errors.New("too many roster records")
	ErrParent        = errors.New("record builds on one that does not count")
	ErrNotMember     = errors.New("not a member")
	ErrRemoved       = errors.New("removed from the pool")
	ErrRole          = errors.New("the role does not allow it")
	ErrAlreadyMember = errors.New("already a member")
	ErrLastAdmin     = errors.New("the pool would be left without an admin")
	ErrName          = errors.New("bad name")

	ErrTicketDamaged = errors.New("ticket damaged")
	ErrTicketVersion = errors.New("ticket of an unknown version")
	ErrTicketExpired = errors.New("ticket expired")
	ErrTicketUsed    = errors.New("ticket used up")
	ErrTicketRevoked = errors.New("ticket revoked")
	ErrTicketForeign = errors.New("ticket of another pool")
	ErrTicketTerms   = errors.New("bad ticket terms")
)

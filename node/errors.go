package node

import (
	"errors"
	"fmt"

	"github.com/bwaklog/meerkat/pool"
)

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

// Exit codes of CLI.md.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitNotFound   = 4
	exitNotAllowed = 5
	exitTimeout    = 6
	exitAttention  = 7
	exitGuard      = 8
	exitTicket     = 9
	exitAlready    = 10
)

// codes lists what the codes of this package's home, config and admission
// mean to a program and to a person.
var codes = map[string]struct {
	exit int
	hint string
}{
	"home_in_use":       {exitFailed, "stop that process first, or give another --home"},
	"home_unusable":     {exitFailed, "check that the directory is yours and writable, or give another --home"},
	"identity_corrupt":  {exitFailed, "put identity.key back from a backup; without one move it away: this node then is a new one, and must be invited again"},
	"identity_exposed":  {exitFailed, "others can read the key: take it from them with chmod 600, and if they may have read it, move it away and join anew"},
	"config_bad":        {exitUsage, "correct that line"},
	"state_corrupt":     {exitFailed, "move the directory state away and start again: no file is lost, the node re-enters its pools"},
	"state_newer":       {exitFailed, "install the newer meerkat again"},
	"bad_folder":        {exitUsage, "choose a folder of its own"},
	"folder_not_dir":    {exitUsage, "give a directory, or a name that does not exist yet"},
	"folder_unwritable": {exitFailed, "check the owner and the mode of the folder"},
	"folder_nested":     {exitUsage, "choose a folder that is neither inside a pool's folder nor around one"},
	"folder_taken":      {exitAlready, "leave that pool first, or choose another folder"},
	"bad_name":          {exitUsage, "use 1 to 64 bytes of plain text"},
	"bad_role":          {exitUsage, "it is one of reader, keeper, writer, admin"},
	"no_pool":           {exitNotFound, `"meerkat pool ls" lists them`},
	"which_pool":        {exitUsage, "say which one with --pool NAME"},
	"no_node":           {exitNotFound, `"meerkat peer ls" lists them`},
	"which_node":        {exitUsage, "give more of the id"},
	"no_request":        {exitNotFound, `"meerkat requests" lists who asks`},
	"not_allowed":       {exitNotAllowed, "an admin of the pool may do it"},
	"last_admin":        {exitNotAllowed, "make another member an admin first: meerkat peer role NODE admin"},
	"already_member":    {exitAlready, ""},
	"already_so":        {exitAlready, ""},
	"not_member":        {exitNotFound, `"meerkat peer ls" lists the members`},
	"bad_terms":         {exitUsage, "--expires is a duration such as 24h, --uses at least 1"},
	"ticket_damaged":    {exitTicket, "copy it again, all of it: it begins with mkt1"},
	"ticket_version":    {exitTicket, "it was made by a newer meerkat: install that one here too"},
	"ticket_expired":    {exitTicket, "ask for a new one: meerkat invite; if this one is new, look at the clocks of both machines"},
	"ticket_used":       {exitTicket, "ask for a new one: meerkat invite"},
	"ticket_revoked":    {exitTicket, "ask for a new one: meerkat invite"},
	"ticket_foreign":    {exitTicket, "ask an admin of the pool for a new one"},
	"unknown_pool":      {exitTicket, "ask an admin of the pool for a new ticket"},
	"denied":            {exitNotAllowed, "the other side said no: ask the person there"},
	"removed":           {exitNotAllowed, "this node was removed from the pool: ask an admin to invite it again"},
	"not_admin":         {exitNotAllowed, "an admin or a keeper of the pool has to be online"},
	"busy":              {exitTimeout, "try again in a minute"},
	"unreachable":       {exitTimeout, "is the other node running, and on a network that this one can reach?"},
	"merged":            {exitAlready, "ask for a ticket of the pool that it became"},
	"ticket_narrow":     {exitTicket, "ask for one as writer: meerkat invite"},
	"failed":            {exitFailed, ""},
	"halted":            {exitGuard, `"meerkat status" says what to look after`},
	"bad_path":          {exitNotFound, "give it relative to the pool's folder"},
	"no_path":           {exitNotFound, "give it relative to the pool's folder, or from where you stand"},
	"no_version":        {exitNotFound, `"meerkat versions PATH" lists them`},
	"is_directory":      {exitUsage, "name a file in it, or restore it to its place, without -o"},
	"which_version":     {exitUsage, "give more of it"},
	"no_conflict":       {exitNotFound, `"meerkat conflicts" lists them`},
	"no_such_value":     {exitNotFound, `"meerkat conflicts show PATH" says who made which; keep one of them, "both", or a file of the pool`},
	"which_value":       {exitUsage, "name the copy itself, as \"meerkat conflicts\" shows it"},
	"bad_rule":          {exitUsage, "its syntax is that of gitignore, one line"},
	"paused":            {exitGuard, `"meerkat resume" lets it go on`},
	"not_paused":        {exitAlready, ""},
	"paused_already":    {exitAlready, `"meerkat resume" ends the pause, "meerkat status" says until when it is`},
	"bad_cursor":        {exitUsage, "take it from the field cursor of an earlier line"},
	"no_content":        {exitTimeout, "start the members that hold it, or choose another version"},
}

// trouble is an Error with the exit code and the hint of its code.
func trouble(code string, err error, format string, args ...any) *Error {
	c := codes[code]
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: c.hint, Exit: c.exit, Err: err}
}

// poolCodes says which code an error of package pool is told by.
var poolCodes = []struct {
	err  error
	code string
	text string
}{
	{pool.ErrLastAdmin, "last_admin", "the pool would be left without an admin"},
	{pool.ErrAlreadyMember, "already_member", "that node is a member already"},
	{pool.ErrTicketDamaged, "ticket_damaged", "the ticket is damaged"},
	{pool.ErrTicketVersion, "ticket_version", "the ticket is of a kind unknown here"},
	{pool.ErrTicketExpired, "ticket_expired", "the ticket has expired"},
	{pool.ErrTicketUsed, "ticket_used", "the ticket has been used"},
	{pool.ErrTicketRevoked, "ticket_revoked", "the ticket has been revoked"},
	{pool.ErrTicketForeign, "ticket_foreign", "the ticket is not one of that pool"},
	{pool.ErrTicketTerms, "bad_terms", "no ticket can be made on these terms"},
	{pool.ErrName, "bad_name", "that name cannot be used"},
	{pool.ErrRole, "not_allowed", "this node's role does not allow it"},
	{pool.ErrRemoved, "removed", "this node was removed from the pool"},
	{pool.ErrNotMember, "not_member", "that node is not a member"},
}

// poolTrouble tells an error of package pool to a person; nil stays nil, and
// what is an Error already stays as it is.
func poolTrouble(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	for _, c := range poolCodes {
		if errors.Is(err, c.err) {
			return trouble(c.code, err, "%s", c.text)
		}
	}
	return trouble("failed", err, "it did not work")
}

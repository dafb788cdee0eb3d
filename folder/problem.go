package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/bwaklog/meerkat/event"
)

// Problem is trouble with one path: data for people, not an error of the call that found it.
type Problem struct {
	Path          event.Path
	Code          string // one of the codes below; stable, for programs
	Message, Hint string
}

// Codes of problems that apply finds. Scanning has more.
const (
	CodeDiskFull     = "disk_full"
	CodeReadOnly     = "read_only"
	CodeIO           = "io_error"
	CodeTooManyFiles = "too_many_files"
	CodeName         = "name"
	CodeDenied       = "denied"
	CodeDevice       = "other_device"
	CodeInTheWay     = "in_the_way"
	CodeParent       = "parent"
	CodeSource       = "source"
	CodeFailed       = "failed"
)

// troubles says which errors mean what; the first that matches counts.
var troubles = []struct {
	err  error
	code string
	text string
	hint string
}{
	{syscall.ENOSPC, CodeDiskFull, "the disk is full", "free some space; it goes on by itself"},
	{syscall.EDQUOT, CodeDiskFull, "the disk quota is used up", "free some space; it goes on by itself"},
	{syscall.EFBIG, CodeDiskFull, "the file is larger than this file system allows", "keep the folder on another file system"},
	{syscall.EROFS, CodeReadOnly, "the file system is read-only", "mount it writable; look into the system's log for disk errors"},
	{syscall.EIO, CodeIO, "the disk reported an error", "look into the system's log, and check the disk"},
	{syscall.EMFILE, CodeTooManyFiles, "too many open files", "raise the limit of open files (ulimit -n)"},
	{syscall.ENFILE, CodeTooManyFiles, "too many open files on this machine", "close programs, or raise fs.file-max"},
	{syscall.ENAMETOOLONG, CodeName, "the name is too long for this file system", "rename it on another member"},
	{syscall.EILSEQ, CodeName, "this file system cannot hold the name", "rename it on another member"},
	{syscall.EINVAL, CodeName, "this file system cannot hold the name", "rename it on another member"},
	{syscall.EXDEV, CodeDevice, "the place is on another file system than the folder", "unmount it, or ignore it with .meerkatignore"},
	{fs.ErrPermission, CodeDenied, "permission denied", "let the user that runs meerkat write here"},
	{syscall.EACCES, CodeDenied, "permission denied", "let the user that runs meerkat write here"},
	{syscall.EPERM, CodeDenied, "operation not permitted", "look for an immutable attribute (lsattr) or another owner"},
	{fs.ErrExist, CodeInTheWay, "something that meerkat does not know stands in its place", "it is looked at again"},
}

// ProblemFor says in words for people what err means for path p. The error must not be nil.
func ProblemFor(p event.Path, err error) Problem {
	if full, ok := errors.AsType[*ReserveError](err); ok {
		return Problem{Path: p, Code: CodeDiskFull, Message: full.Error(), Hint: "free some space, or lower safety.disk_reserve; it goes on by itself"}
	}
	for _, t := range troubles {
		if errors.Is(err, t.err) {
			return Problem{Path: p, Code: t.code, Message: t.text, Hint: t.hint}
		}
	}
	return Problem{Path: p, Code: CodeFailed, Message: fmt.Sprint(err), Hint: "it is tried again"}
}

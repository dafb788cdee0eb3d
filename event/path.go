package event

import (
	"errors"
	"fmt"
	"strings"
)

// Path is where an entry stands in its pool: bytes, separated by slashes, relative to the root, never normalised. The
// empty Path is the root itself and never the path of an entry.
type Path string

// Limits of a path, in bytes.
const (
	MaxPath = 4096
	MaxName = 255
)

// Reserved is the name at a pool's root that belongs to the node. No event may speak of it.
const Reserved = ".meerkat"

// ErrPath is wrapped by every error of [ParsePath].
var ErrPath = errors.New("invalid path")

// ParsePath checks b and copies it. Refused are: the empty path, more than [MaxPath] bytes, a NUL, a component that is
// empty (also by a leading, trailing or double slash), "." or "..", or has more than [MaxName] bytes, and anything at
// or below [Reserved].
func ParsePath(b []byte) (Path, error) {
	if len(b) == 0 || len(b) > MaxPath {
		return "", fmt.Errorf("%w: %d bytes", ErrPath, len(b))
	}
	p := Path(b)
	if why := p.fault(); why != "" {
		return "", fmt.Errorf("%w: %.80q %s", ErrPath, string(p), why)
	}
	return p, nil
}

// fault says what is wrong with a path of legal length, or nothing.
func (p Path) fault() string {
	if strings.IndexByte(string(p), 0) >= 0 {
		return "has a NUL"
	}
	for rest, more := string(p), true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		switch {
		case name == "":
			return "has an empty component"
		case name == ".", name == "..":
			return "has a component that is " + name
		case len(name) > MaxName:
			return "has a component that is too long"
		}
	}
	if p == Reserved || p.Under(Reserved) {
		return "belongs to the node"
	}
	return ""
}

// Dir is the path of the directory that p stands in; for a path at the top it is "".
func (p Path) Dir() Path {
	if i := strings.LastIndexByte(string(p), '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// Base is the last component of p.
func (p Path) Base() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Under says whether p is strictly below dir. Every path but "" is below "".
func (p Path) Under(dir Path) bool {
	if dir == "" {
		return p != ""
	}
	return len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}

// Join is the path of name in the directory p. It does not check the result.
func (p Path) Join(name string) Path {
	if p == "" {
		return Path(name)
	}
	return p + "/" + Path(name)
}
